"""Virtual environments for the peers: as few as their pins allow, kept in ``.benchmarks``."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".benchmarks"
UVLOOP = "uvloop>=0.21; sys_platform != 'win32'"
CONFLICT = "ResolutionImpossible"


class NoSuchPython(RuntimeError):
    """A peer needs a newer Python than any that was found."""


class InstallFailed(RuntimeError):
    """pip failed for another reason than pins that conflict."""


@dataclass(slots=True)
class Environment:
    """A folder, the Python that made it, what callcov-auth needs there, and what each peer needs."""

    folder: str
    base: str
    ours: list[str]
    peers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return str(FOLDER / self.folder / "bin" / "python")

    def takes(self, name: str, requirements: Sequence[str]) -> bool:
        """Install a peer beside those that are there. False where their pins conflict."""
        wanted = {**self.peers, name: list(requirements)}
        listed = sorted({each for needed in wanted.values() for each in needed})
        if not pip_installs(self.python, [*self.ours, *listed]):
            return False
        # Without what it depends on, which is there already, though maybe in another version.
        pip_installs(self.python, ["--no-deps", "-e", str(ROOT)])
        self.peers = wanted
        return True


class Environments:
    """The environments that are there, from earlier runs too, unless our own dependencies changed since."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._state = folder / "environments.json"
        self._environments: list[Environment] = []
        if self._state.exists():
            state = json.loads(self._state.read_text())
            if state["dependencies"] == our_dependencies():
                self._environments = [Environment(**each) for each in state["environments"]]

    def python_for(self, module: ModuleType) -> str:
        """Return the Python that has a peer and callcov-auth. Raises NoSuchPython, InstallFailed."""
        requirements = list(module.REQUIREMENTS)
        if not requirements:
            return sys.executable
        name, base = module.__name__, base_python(module.PYTHON)
        for environment in self._environments:
            if environment.base == base and environment.peers.get(name) == requirements:
                return environment.python
        return self._with_room(name, requirements, base).python

    def _with_room(self, name: str, requirements: list[str], base: str) -> Environment:
        print(f"{name}: installing", file=sys.stderr)
        found = next((each for each in self._fitting(base) if each.takes(name, requirements)), None)
        if found is None:
            raise InstallFailed(f"{name}: its own requirements conflict")
        if found not in self._environments:
            self._environments.append(found)
        self._save()
        return found

    def _fitting(self, base: str) -> Iterator[Environment]:
        """Yield the environments that are there, then a new one, then one in which the peer's pins win."""
        yield from [each for each in self._environments if each.base == base]
        folder, pinned = f"environment-{len(self._environments) + 1}", our_dependencies()
        for ours in (pinned, [without_version(each) for each in pinned]):
            new = Environment(folder, base, [*ours, UVLOOP])
            make(new)
            yield new

    def _save(self) -> None:
        environments = [asdict(each) for each in self._environments]
        self._state.write_text(
            json.dumps({"dependencies": our_dependencies(), "environments": environments}, indent=2)
        )


def make(environment: Environment) -> None:
    folder = FOLDER / environment.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    subprocess.run([environment.base, "-m", "venv", str(folder)], check=True)  # noqa: S603


def pip_installs(python: str, requirements: Sequence[str]) -> bool:
    """False for pins that conflict. Raises InstallFailed for all else, such as no network."""
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    done = subprocess.run([*pip, *requirements], capture_output=True, text=True)  # noqa: S603
    if done.returncode == 0:
        return True
    if CONFLICT in done.stderr:
        return False
    raise InstallFailed(done.stderr.strip()[-2000:])


def our_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["fastapi"]]


def without_version(requirement: str) -> str:
    """Return the name of a requirement, with its extras."""
    found = re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?", requirement)
    return found[0] if found else requirement


def base_python(least: str | None) -> str:
    """Return the Python that runs this, or the oldest found that is at least ``least`` ("3.12").

    Raises NoSuchPython.
    """
    if least is None or _numbers(least) <= sys.version_info[:2]:
        return sys.executable
    for path in _pythons():
        asked = [path, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        said = subprocess.run(asked, capture_output=True, text=True)  # noqa: S603
        if said.returncode == 0 and _numbers(said.stdout.strip()) >= _numbers(least):
            return path
    raise NoSuchPython(f"Python {least} or newer is needed; put python{least} on the PATH")


def _pythons() -> Iterator[str]:
    """Yield the Pythons on the PATH and those of pyenv, older minor versions first."""
    for minor in range(sys.version_info.minor + 1, sys.version_info.minor + 10):
        found = shutil.which(f"python3.{minor}")
        if found is not None:
            yield found
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = [path for path in versions.glob("3.*") if re.fullmatch(r"3\.\d+\.\d+", path.name)]
    for version in sorted(kept, key=lambda path: _numbers(path.name)):
        yield str(version / "bin" / "python")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
