"""Links of the repository become links of the site, and what a browser would show wrong is found."""

import markdown
import pytest
from sitehooks import loaded_from_elsewhere, swallowed, with_site_links


@pytest.mark.parametrize(
    ("page", "outside", "link", "expected"),
    [
        ("router.md", False, "scaling.md", "scaling.md"),
        ("reference/cli.md", False, "../cli.md", "../cli.md"),
        ("cli.md", False, "../examples/minimal.yaml", "examples/minimal.yaml"),
        ("reference/api.md", False, "../../CHANGELOG.md", "../CHANGELOG.md"),
        ("operations.md", False, "../charts/gemma4-stack/README.md#values", "charts/gemma4-stack/README.md#values"),
        ("charts/gemma4-models/README.md", True, "../../docs/reference/api.md", "../../reference/api.md"),
        ("examples/README.md", True, "minimal.yaml", "minimal.yaml"),
        ("CONTRIBUTING.md", True, "docs/development.md", "development.md"),
        ("cli.md", False, "https://example.com/../x", "https://example.com/../x"),
        ("cli.md", False, "#plan", "#plan"),
    ],
)
def test_a_link_of_the_repository_leads_to_the_page_of_the_site(
    page: str, outside: bool, link: str, expected: str
) -> None:
    assert with_site_links(f"see [it]({link}).", page=page, outside=outside) == f"see [it]({expected})."


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("Three things:\n- one\n- two", ["- one"]),
        ("Three things:\n1. one", ["1. one"]),
        ("A table:\n| a | b |\n| - | - |\n| 1 | 2 |", ["| a | b |"]),
        ("Three things:\n\n- one\n- two", []),
        ("A table:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |", []),
        ("Lines that go on - like this\nand 1.5 times more | or less.", []),
    ],
)
def test_a_list_or_table_that_became_text_is_found(text: str, lost: list[str]) -> None:
    assert list(swallowed(markdown.markdown(text, extensions=["tables"]))) == lost


def test_what_a_page_loads_from_another_host_is_found() -> None:
    page = (
        '<script src="https://cdn.example.com/a.js"></script><link rel="stylesheet" href=//fonts.example.com/b.css>'
        '<img src="assets/c.png"><a href="https://example.com/d">a link is no load</a>'
    )
    assert loaded_from_elsewhere(page) == ["https://cdn.example.com/a.js", "//fonts.example.com/b.css"]
