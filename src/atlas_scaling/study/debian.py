"""Sources of the embedded corpus that come as Debian packages, one a language or a few for all.

Fetched by ``apt-get download`` and unpacked by ``dpkg-deb``; nothing is installed or run. Versions
move with updates of the distribution, so there is no pin: a corpus records what it had, and its
text has a hash. They are there on Debian and Ubuntu only.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from atlas_scaling.errors import SourceError
from atlas_scaling.study.cache import scratch_directory
from atlas_scaling.study.pages import parse_help
from atlas_scaling.study.say import Pace, Say

ENGLISH: Final = "eng_Latn"

_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class DebianSource:
    """Packages of one program's texts.

    Attributes:
        name: what a study calls it.
        packages: of each language.
        licence: of its texts.
        homepage: where it comes from.
        member: pattern of the files that have text; its group ``part`` is the same in every
            language.
    """

    name: str
    packages: Mapping[str, str]
    licence: str
    homepage: str
    member: str


@dataclass(frozen=True, slots=True)
class SharedPackages:
    """Packages that hold the texts of a program in all languages.

    Attributes:
        names: of the packages.
    """

    names: tuple[str, ...]


_HELP_LOCALES: Final = {
    "cat_Latn": "ca", "ces_Latn": "cs", "dan_Latn": "da", "deu_Latn": "de", "ell_Grek": "el",
    "eng_Latn": "en-us", "spa_Latn": "es", "est_Latn": "et", "eus_Latn": "eu", "fin_Latn": "fi",
    "fra_Latn": "fr", "glg_Latn": "gl", "hin_Deva": "hi", "hun_Latn": "hu", "ind_Latn": "id",
    "ita_Latn": "it", "jpn_Jpan": "ja", "khm_Khmr": "km", "kor_Hang": "ko", "nld_Latn": "nl",
    "pol_Latn": "pl", "por_Latn": "pt", "rus_Cyrl": "ru", "slk_Latn": "sk", "slv_Latn": "sl",
    "swe_Latn": "sv", "tur_Latn": "tr", "vie_Latn": "vi", "zho_Hans": "zh-cn", "zho_Hant": "zh-tw",
}  # fmt: skip

DEBIAN_SOURCES: Final = {
    source.name: source
    for source in (
        DebianSource(
            name="libreoffice-help",
            packages={code: f"libreoffice-help-{name}" for code, name in _HELP_LOCALES.items()},
            licence="MPL-2.0",
            homepage="https://help.libreoffice.org/",
            member=r"/share/libreoffice/help/[^/]+/text/(?P<part>.+)\.html$",
        ),
    )
}


def fetch_debian(
    source: DebianSource, languages: Collection[str], cache: Path, say: Say
) -> dict[str, Path]:
    """The package of each of ``languages`` that there is, and of English, in the cache.

    Raises:
        SourceError: this is no Debian, or a package cannot be fetched.
    """
    folder = cache / "debian"
    codes = sorted({*languages, ENGLISH} & source.packages.keys())
    files = _fetched([source.packages[code] for code in codes], folder, say, Pace(say))
    return dict(zip(codes, files, strict=True))


def fetch_shared(name: str, packages: SharedPackages, member: str, cache: Path, say: Say) -> Path:
    """What in the packages matches ``member``, as a zip in the cache whose comment has versions.

    Raises:
        SourceError: this is no Debian, or a package cannot be fetched or unpacked.
    """
    folder, pattern = cache / "debian", re.compile(member)
    target = folder / f"{name}.zip"
    if not target.is_file():
        fetching, unpacking = Pace(say).parts([1, 1])
        fetched = _fetched(packages.names, folder, say, fetching)
        with scratch_directory(folder) as scratch:
            with zipfile.ZipFile(scratch / target.name, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.comment = ", ".join(version_of(one) for one in fetched).encode()
                for n, package_file in enumerate(fetched):
                    unpacking.offer(lambda: f"unpacking {package_file.name}", n / len(fetched))  # noqa: B023
                    for found, data in _members(package_file, pattern):
                        archive.writestr(found.string, data)
            (scratch / target.name).replace(target)
    return target


def _fetched(packages: Sequence[str], folder: Path, say: Say, pace: Pace) -> list[Path]:
    """The file of each package, those that are not in ``folder`` fetched into it."""
    files = []
    for n, package in enumerate(packages):
        pace.offer(lambda: f"{n} of {len(packages)} packages are here", n / len(packages))  # noqa: B023
        there = sorted(folder.glob(f"{package}_*.deb"))
        files.append(there[-1] if there else _download(package, folder, say))
    return files


def version_of(package: Path) -> str:
    """Name and version of a package by its file's name, ``libreoffice-help-sv 4:7.4.7-1``."""
    name, version, _ = unquote(package.name).split("_", 2)
    return f"{name} {version}"


@dataclass(frozen=True, slots=True)
class DebianText:
    """The messages in a source's packages, read a language at a time.

    Attributes:
        source: what to read.
        packages: of each language.
    """

    source: DebianSource
    packages: Mapping[str, Path]

    def messages(self, code: str) -> dict[str, str]:
        """Messages of a language by id; empty where the source does not have it.

        Raises:
            SourceError: a package cannot be unpacked.
        """
        if code not in self.packages:
            return {}
        pattern = re.compile(self.source.member)
        return {
            f"{found['part']}.{message.key}": message.text
            for found, data in _members(self.packages[code], pattern)
            for message in parse_help(data)
        }


def _members(package: Path, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], bytes]]:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    try:
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpack,
            tarfile.open(fileobj=unpack.stdout, mode="r|") as archive,
        ):
            for member in archive:
                found = pattern.search(member.name)
                file = archive.extractfile(member) if found and member.isfile() else None
                if found is not None and file is not None:
                    yield found, file.read()
    except (OSError, tarfile.TarError) as error:
        raise SourceError(
            f"the package {package.name} cannot be unpacked: {error}",
            where=str(package),
            remedy="remove it, so that it is fetched again",
        ) from error


def _download(package: str, folder: Path, say: Say) -> Path:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SourceError(
            f"{package} cannot be fetched: this system has no apt",
            value=package,
            remedy="leave the part out; it is there on Debian and Ubuntu only",
        )
    say(f"fetching {package}")
    with scratch_directory(folder) as scratch:
        try:
            subprocess.run(
                ["apt-get", "download", "-qq", package],
                check=True,
                capture_output=True,
                timeout=_SECONDS,
                cwd=scratch,
            )
        except subprocess.SubprocessError as error:
            said = (getattr(error, "stderr", None) or b"").decode("utf-8", "replace").strip()
            raise SourceError(
                f"{package} could not be fetched",
                value=said.splitlines()[-1] if said else str(error),
                remedy="check apt's sources and network, and run: apt-get update",
            ) from error
        (fetched,) = scratch.glob("*.deb")
        return fetched.replace(folder / fetched.name)
