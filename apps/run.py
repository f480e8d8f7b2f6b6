"""What a container runs: the program that its image was built for, named by `MODULE`.

One entry for all images, in exec form, so that no shell stands between the program and its signals.
Arguments of the container are the program's.
"""

import os
import runpy


def main() -> None:
    """Runs the module as if Python had been started with it."""
    runpy.run_module(os.environ["MODULE"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
