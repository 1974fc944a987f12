"""The search box in a real browser: Debian's chromium, headless. Screenshots are left in target/screenshots, to be looked at."""

import shutil
from urllib.parse import urlencode

import pytest
import support
from serving import serving
from test_datasette import HTML, files  # noqa: F401

pytestmark = pytest.mark.slow
SHOTS = support.ROOT / "target" / "screenshots"


@pytest.fixture(scope="module")
def site(files):  # noqa: F811
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium here")
    SHOTS.mkdir(parents=True, exist_ok=True)
    with serving(files) as served:
        yield served


def chromium(tmp_path, *arguments):
    return support.run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                       f"--user-data-dir={tmp_path}", *arguments).stdout


def page(site, table, query):
    return f"{site.url}/desk/{table}?{urlencode({'_semantic': query})}"


def test_html_in_the_data_does_nothing(site, tmp_path):
    """The text of a row would change the page's title if it were taken for HTML."""
    dom = chromium(tmp_path, "--dump-dom", "--virtual-time-budget=2000", page(site, "desk", HTML))
    assert "<title>desk: desk: 5 rows</title>" in dom and "bge-passage" in dom


@pytest.mark.parametrize("name, table, query, width", [
    ("ranked", "desk", "how do I reset my device?", 1000), ("narrow", "desk", "patience with manuals", 420),
    ("html", "desk", HTML, 1000), ("none", "empty", "anything", 1000), ("empty", "desk", "", 1000)])
def test_the_page_is_drawn(site, tmp_path, name, table, query, width):
    shot = SHOTS / f"{name}.png"
    shot.unlink(missing_ok=True)
    chromium(tmp_path, f"--window-size={width},900", f"--screenshot={shot}", page(site, table, query))
    assert shot.read_bytes().startswith(b"\x89PNG") and shot.stat().st_size > 5_000


def test_the_picture_of_the_document(tmp_path):
    """docs/images/datasette.png is a copy of what this leaves."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium here")
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = tmp_path / "helpdesk.db"
    support.run(support.BIN / "sqlite-utils", "insert", path, "articles", support.ROOT / "examples/helpdesk/articles.csv",
                "--csv", "--pk", "id")
    support.sqlite_bge_command("index", path, "articles", "title", "body", "--filter", "area", "--no-progress")
    with serving(path) as served:
        question = "My coffee tipped over onto the computer, what now?"  # 44 is the answer, see questions.csv
        assert served.search("articles", question, "helpdesk")[0][0][0] == "/helpdesk/articles/44"
        shot = SHOTS / "datasette.png"
        chromium(tmp_path, "--window-size=860,540", f"--screenshot={shot}",
                 f"{served.url}/helpdesk/articles?{urlencode({'_semantic': question})}")
        assert shot.stat().st_size < 200_000
