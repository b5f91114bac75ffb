"""Makes a virtual environment for each peer, once: their dependencies conflict with ours."""

import subprocess
import sys
import sysconfig

from benchmarks import ROOT

PEERS = ROOT / ".peers"
COMMON = ("tensorflow==2.21.0", "keras==3.15.1")
REQUIREMENTS = {
    "keras_tuner": (*COMMON, "keras-tuner[bayesian]==1.4.8", "tensorboard>=2.20,<3"),
    "hydra_optuna_sweeper": (
        *COMMON,
        "hydra-core==1.3.2",
        "hydra-optuna-sweeper==1.3.0",
        "hydra-joblib-launcher==1.2.0",
        "mlflow==3.17.2",
    ),
    "ray": ("ray[tune]==2.60.0",),
}


def python_of(peer: str) -> str:
    """Returns the interpreter of a peer's environment, and makes the environment if it is missing."""
    folder = PEERS / peer
    interpreter, stamp = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join(REQUIREMENTS[peer])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer} into {folder.relative_to(ROOT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *REQUIREMENTS[peer]], check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(wanted)  # last, so that an interrupted installation is repeated
    return str(interpreter)


def compile_packages() -> None:
    """Compiles the packages of this environment, as pip did those of the peers.

    `make venv` leaves that to the first import. Importing TensorFlow from its sources takes three times as
    long, and each start would, where Python may not write bytecode.
    """
    command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/"]
    subprocess.run([*command, sysconfig.get_path("purelib")], check=False)  # some files are for other Pythons


def versions(peer: str) -> dict[str, str]:
    """Returns the versions of the relevant packages in a peer's environment."""
    program = (
        "import importlib.metadata as m\n"
        "names = ['tensorflow', 'keras', 'keras-tuner', 'hydra-core', 'hydra-optuna-sweeper', "
        "'hydra-joblib-launcher', 'optuna', 'mlflow', 'numpy', 'ray']\n"
        "print([n + ' ' + m.version(n) for n in names if any(d.name == n for d in m.distributions())])"
    )
    told = subprocess.run([python_of(peer), "-c", program], check=True, capture_output=True, text=True)
    found = told.stdout.strip().strip("[]").replace("'", "")
    return dict(pair.split(" ", 1) for pair in found.split(", "))
