"""Fill vendor/mathjax from the npm package, so that the built book needs no network.

    npm pack mathjax@3.2.2
    python tools/vendor_mathjax.py mathjax-3.2.2.tgz

The tarball must be the one whose checksum is pinned below.  Only what the book's pages can ask for is
kept: TeX input with CommonHTML output, its fonts, and the TeX packages that MathJax loads on demand.
`vendor/SHA256SUMS` records every file; tests/test_tools.py compares.
"""

import base64
import hashlib
import shutil
import sys
import tarfile
from pathlib import Path

VERSION = "3.2.2"
INTEGRITY = (  # as published with the package, base64
    "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
)
VENDOR = Path(__file__).resolve().parent.parent / "vendor"
COMPONENT = "es5/tex-chtml.js"  # TeX in, CommonHTML out, assistive MathML and the menu
FOLDERS = ("es5/output/chtml/fonts/woff-v2/", "es5/input/tex/extensions/")
# `all-packages` repeats the others; these three are part of the component itself.
NOT_NEEDED = {"all-packages.js", "ams.js", "newcommand.js", "noundefined.js"}


def checked_tarball(path: Path) -> Path:
    """The path itself if its checksum is the pinned one, else an error."""
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        sys.exit(f"{path} is not mathjax {VERSION} as published: its sha512 is {digest}")
    return path


def wanted(name: str) -> Path | None:
    """Where a member of the package goes below vendor/mathjax, or None if it stays out."""
    name = name.removeprefix("package/")
    if name == "LICENSE":
        return Path(name)
    if name == COMPONENT or (name.startswith(FOLDERS) and Path(name).name not in NOT_NEEDED):
        return Path(name).relative_to("es5")
    return None


def checksums() -> str:
    """One `sha256  path` line for every vendored file, in order."""
    files = sorted(p for p in (VENDOR / "mathjax").rglob("*") if p.is_file())
    lines = (
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(VENDOR).as_posix()}\n"
        for p in files
    )
    return "".join(lines)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tarball = checked_tarball(Path(sys.argv[1]))
    shutil.rmtree(VENDOR / "mathjax", ignore_errors=True)
    with tarfile.open(tarball) as package:
        for member in package:
            target = wanted(member.name)
            if target is None or not member.isfile():
                continue
            path = VENDOR / "mathjax" / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(package.extractfile(member).read())
    (VENDOR / "SHA256SUMS").write_text(checksums())
    print(f"vendor/mathjax: {sum(p.stat().st_size for p in VENDOR.rglob('*') if p.is_file()):,} B")


if __name__ == "__main__":
    main()
