"""A FuncGraph becomes a Plan: steps, memory, and the driver that runs them."""
