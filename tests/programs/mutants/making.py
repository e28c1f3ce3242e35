"""Makes the mutants of the folder it is started in, as `mutmut run` begins; mutmut reads its settings at import."""

from mutmut.__main__ import CatchOutput, create_mutants
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir

if __name__ == "__main__":
    with CatchOutput(spinner_title="Making mutants"):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(1)
