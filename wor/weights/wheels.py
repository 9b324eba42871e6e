"""Files that came inside an installed package. They are read; nothing of the package is imported or run."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from wor import storage
from wor.errors import UserError


def find_file(package: str, version: str, file: str, sha256: str) -> Path:
    """The path of ``file`` in the installed ``package``, its version and sha256 checked."""
    remedy = f"Install it with: pip install --no-deps {package}=={version}"
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise UserError(package, "this package is not installed", remedy) from None
    if distribution.version != version:
        raise UserError(package, f"version {distribution.version} is installed, not {version}", remedy)
    path = Path(distribution.locate_file(file))
    if not path.is_file():
        raise UserError(path, f"missing from {package}", f"{remedy} --force-reinstall")
    require_sha256(path, sha256, f"{remedy} --force-reinstall")
    return path


def require_sha256(path: Path, sha256: str, remedy: str) -> None:
    """Refuse a file whose content is not what was pinned."""
    found = storage.sha256(path)
    if found != sha256:
        raise UserError(path, f"sha256 is {found}, expected {sha256}", remedy)
