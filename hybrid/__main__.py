"""The command line: ``hybrid demo``, ``info`` and ``ops``, also as ``python -m hybrid``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import hybrid

_EPOCHS, _QUICK_EPOCHS = 40, 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hybrid", description="Array code, eager or traced.")
    parser.add_argument("--version", action="version", version=f"hybrid {hybrid.__version__}")
    commands = parser.add_subparsers(metavar="command")
    demo = commands.add_parser("demo", help="train on digits and filter a photograph, both modes")
    demo.add_argument("--epochs", type=_positive, help=f"of training (default {_EPOCHS})")
    output = Path("hybrid-demo.png")
    demo.add_argument("--output", type=Path, default=output, help=f"the picture (default {output})")
    quick = f"{_QUICK_EPOCHS} epochs and fewer repetitions"
    demo.add_argument("--quick", action="store_true", help=quick)
    demo.set_defaults(run=_demo)
    info = commands.add_parser("info", help="print versions, processor, GPU and kernel cache")
    info.set_defaults(run=_info)
    ops = commands.add_parser("ops", help="print all ops and functions, as in docs/ops.md")
    ops.set_defaults(run=_ops)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def _demo(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("sklearn") is None:
        print(
            "hybrid demo needs scikit-learn for its data: pip install 'hybrid[demo]'",
            file=sys.stderr,
        )
        return 2
    if not options.output.parent.is_dir():
        print(f"hybrid demo: there is no folder {options.output.parent}", file=sys.stderr)
        return 2
    from hybrid.demo.tour import run

    epochs = options.epochs or (_QUICK_EPOCHS if options.quick else _EPOCHS)
    return run(epochs, options.output, quick=options.quick)


def _info(_: argparse.Namespace) -> int:
    from hybrid.inspect.info import info

    print(f"hybrid {hybrid.__version__}")
    print(info())
    return 0


def _ops(_: argparse.Namespace) -> int:
    from hybrid.inspect.ops_page import ops_page

    print(ops_page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
