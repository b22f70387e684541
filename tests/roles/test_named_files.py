"""What a page names in vain is found in its text and in its style sheets, and said; what is elsewhere or made by scripts is left alone."""

from __future__ import annotations

from pathlib import Path

from roles.display.named_files import absent, named_in
from roles.display.server import file_for

PAGE = """<!doctype html><script src="roomful.js"></script><link rel=stylesheet href='look/wall.css'>
<!-- <img src="once.png"> --><img src="a%20b.png?x=1"><img src=there.png><a href="#top"></a><a href="https://example.org/x"></a>
<style>body { background: url(data:image/png;base64,AA) } p { background: url( "night.jpg" ) } /* url(old.png) */</style>
<video poster="/still.jpg"></video><script>image.src = `pictures/${name}.png`</script><link rel="icon" href="data:,">"""


def test_addresses_on_the_page_s_own_server_are_found_and_no_others() -> None:
    assert named_in(PAGE) == ["roomful.js", "look/wall.css", "a b.png", "there.png", "night.jpg", "/still.jpg"]


def test_what_is_not_there_is_named_as_the_page_means_it(tmp_path: Path) -> None:
    page = tmp_path / "wall.html"
    page.write_text(PAGE)
    (tmp_path / "there.png").touch()
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "wall.css").write_text('@font-face { src: url("../type/mine.woff2") } p { background: url(paper.png) }')
    missing = absent(page, lambda path: file_for(path, page))
    assert missing == ["type/mine.woff2", "look/paper.png", "a b.png", "night.jpg", "still.jpg"]
    # And a page that is gone names nothing
    page.unlink()
    assert absent(page, lambda path: file_for(path, page)) == []
