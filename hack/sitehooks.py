"""Hooks of the documentation site (mkdocs.yml): pages from outside docs/, and checks that MkDocs does not make.

Every warning fails `mkdocs build --strict`.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
OUTSIDE: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "charts/*/README.md", "examples/*", "examples/*/*")
"""Files of the repository that the site shows at the same path, so that one link serves site and repository."""
_LINK: Final = re.compile(r"\]\((?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
_PARAGRAPH: Final = re.compile(r"<p>(.*?)</p>", flags=re.DOTALL)
_BLOCK_IN_PARAGRAPH: Final = re.compile(r"\n\s*(?:[-*] |\d+\. |\|)|^\|")
_LOADED: Final = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\"\s>]+)")
_log = get_plugin_logger("site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links as the repository has them to where the site has their targets."""
    outside = page.file.generated_by is not None
    return with_site_links(markdown, page=page.file.src_uri, outside=outside)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Warn of lists and tables that Python-Markdown takes for text, where GitHub does not."""
    for line in swallowed(html):
        _log.warning("%s: a list or table needs an empty line before it: %s", page.file.src_uri, line)
    return html


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Warn of what a reader's browser would load from elsewhere."""
    for address in loaded_from_elsewhere(output):
        _log.warning("%s loads %s: the site must work without internet", page.file.src_uri, address)
    return output


def with_site_links(markdown: str, *, page: str, outside: bool) -> str:
    """`markdown` with relative links of the repository turned into those of the site.

    `page` is its path on the site; a page from `outside` docs/ has the same path in the repository. What does not
    exist keeps a link that leads nowhere, which MkDocs reports.
    """
    here = page if outside else f"docs/{page}"

    def site_link(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link["path"]))
        path = posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page) or ".")
        return f"]({path}{link['anchor'] or ''})"

    return _LINK.sub(site_link, markdown)


def swallowed(html: str) -> Iterator[str]:
    """First lines of lists and tables that became part of a paragraph."""
    for paragraph in _PARAGRAPH.findall(html):
        if found := _BLOCK_IN_PARAGRAPH.search(paragraph):
            yield paragraph[found.start() :].strip().partition("\n")[0]


def loaded_from_elsewhere(html: str) -> list[str]:
    """Addresses on other hosts of scripts, styles and images of a page."""
    return _LOADED.findall(html)
