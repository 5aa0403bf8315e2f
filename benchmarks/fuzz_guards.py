"""Fuzz what reads bytes from strangers, guided by coverage, with atheris (the extra `fuzz`).

    python -m benchmarks.fuzz_guards -max_total_time=600 -dict=tests/fuzz/words.dict FOUND tests/fuzz/corpus
    python -m benchmarks.fuzz_guards -merge=1 tests/fuzz/corpus FOUND

The arguments are libFuzzer's. What is new goes to the first folder; the second line adds to the corpus what
of it reaches something that the corpus does not. An input that breaks a target is written to the working
directory, and the exit code is then not 0.
"""

import sys

import atheris

MAX_LENGTH = 8193
# libFuzzer starts it again, by a shell, to merge.
PROGRAM = f"{sys.executable} -m benchmarks.fuzz_guards"

with atheris.instrument_imports(include=["callcov_auth"]):
    from tests.fuzz.targets import run


def target(data: bytes) -> None:
    run(data)


def main() -> None:
    atheris.enabled_hooks.add("RegEx")
    atheris.Setup([PROGRAM, f"-max_len={MAX_LENGTH}", *sys.argv[1:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
