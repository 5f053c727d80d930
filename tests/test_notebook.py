"""The example notebook, run in JupyterLab and looked at in a real browser.

It runs once: what the browser has saved is looked at as well. Without a browser, nbclient runs it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "startup_examples" / "in_a_notebook.ipynb"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 250
"""Seconds for all cells: two imports of databroker, where other tests run beside this one."""
pytestmark = pytest.mark.timeout(3 * PATIENCE)

# An export that takes five seconds, however fast the machine is.
SLOW = """\
import time
from bluesky_export import replay
replay.PAGE_SIZE, length = 1, replay.page_length
replay.page_length = lambda page: time.sleep(0.5) or length(page)
slow = %export 1 json --name slow"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return JupyterLab's page when all cells have run, with the progress bar that was seen meanwhile."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    folder = tmp_path_factory.mktemp("lab")
    with lab(folder) as address, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(100_000)
        page.folder = folder
        try:
            page.goto(address)
            page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
            page.bar_was = _run_all(page)
            yield page
        except BaseException:
            page.screenshot(path=os.environ.get("BLUESKY_EXPORT_SCREENSHOT", folder / "failed.png"))
            raise
        finally:
            browser.close()


@pytest.fixture(scope="module")
def executed(request: pytest.FixtureRequest) -> Any:
    if CHROMIUM is None:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        client = NotebookClient(notebook, timeout=PATIENCE, kernel_name="python3")
        client.execute(env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
        return notebook
    page = request.getfixturevalue("page")
    page.locator(".jp-NotebookPanel .jp-Cell").first.click()
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        notebook = nbformat.read(page.folder / "notebook.ipynb", as_version=4)
        if outputs(notebook, "%export 999"):
            return notebook
        time.sleep(0.2)
    raise AssertionError("JupyterLab did not save the notebook")


def outputs(notebook: Any, source: str) -> list[Any]:
    return next(cell for cell in notebook.cells if cell.source.startswith(source)).outputs


def printed(notebook: Any, source: str) -> str:
    said = "".join(one.text for one in outputs(notebook, source) if one.output_type == "stream")
    return said.replace("\r", "\n")  # where a progress bar was taken away


def test_the_table_is_html_and_text(executed: Any) -> None:
    (result,) = outputs(executed, "%runs")
    shown = result.data
    assert shown["text/html"].count("<tr>") == 4
    assert "grid_scan" in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]
    assert shown["text/plain"].splitlines()[0].split()[:2] == ["scan_id", "uid"]


def test_files_are_written_and_said(executed: Any) -> None:
    said = printed(executed, "files = %export")
    assert len(re.findall(r"(?m)^wrote /.*\.csv \(csv, run \d [0-9a-f]{7}, \d+ events\)$", said)) == 3
    assert "exported 3 of 3 runs, 9 files" in said
    assert "nexus detached: 3 runs, 36 events" in printed(executed, "%detach_writer")
    (frame,) = outputs(executed, "import pandas")
    assert "noisy_det" in frame.data["text/html"]


def test_an_error_is_one_line(executed: Any) -> None:
    (error,) = outputs(executed, "%export 999")
    assert error.output_type == "error"
    assert len(error.traceback) == 1
    assert error.traceback[0].startswith("RunNotFound: no run of ")


# -- in JupyterLab -------------------------------------------------------------------------------


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Give the address of the notebook in a JupyterLab of its own."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    at = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("%export 999"))
    notebook.cells.insert(at, nbformat.v4.new_code_cell(SLOW))
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "notebook.ipynb")
    for name, settings in {
        "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page
        "completer-extension/manager": {"providerTimeout": 30_000},  # of a kernel that has to share
    }.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(settings))
    places = {f"JUPYTER_{what}_DIR": f"{folder}/{what.lower()}" for what in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{what}_DIR": f"{folder}/{what.lower()}" for what in ("SETTINGS", "WORKSPACES")}
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None", "--LabApp.check_for_updates_class="
        "jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env={**os.environ, **places, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield f"{_address(server, folder)}lab/tree/notebook.ipynb?reset"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # and its kernels
        server.wait()


def _address(server: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        for path in (folder / "runtime").glob("jpserver-*.json"):
            try:
                return str(json.loads(path.read_text())["url"])
            except json.JSONDecodeError:
                break  # half written
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


def _run_all(page: Any) -> str:
    """Run all cells to the error at the end; return the progress bar that was seen on the way.

    While the kernel connects, JupyterLab forgets the cells that it was to run, some or all: those
    are run again.
    """
    # Where it asks which kernel, whenever that is: the one that it offers.
    dialog = page.locator(".jp-Dialog button.jp-mod-accept")
    page.add_locator_handler(dialog, lambda button: button.click())
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    error, bar = _error(page), _bar(page)
    seen, forgotten, deadline = "", 20, time.monotonic() + PATIENCE
    while error.count() == 0:
        shown = "".join(bar.all_inner_texts())
        seen = shown if shown.strip() else seen  # it is blank for a moment before it goes
        texts = prompts.all_inner_texts()
        assert time.monotonic() < deadline, "\n".join([*texts, *_outputs(page)])
        waiting = [number for number, text in enumerate(texts) if text.strip() == "[ ]:"]
        forgotten = 0 if "[*]:" in map(str.strip, texts) else forgotten + 1
        if waiting and forgotten > 10:
            prompts.nth(waiting[0]).click()
            page.get_by_text("Run", exact=True).click()
            page.get_by_text("Run Selected Cell and All Below", exact=True).click()
            forgotten = 0
        page.wait_for_timeout(200)
    return seen


def _outputs(page: Any) -> list[str]:
    return list(page.locator(".jp-OutputArea-output").all_inner_texts())


def _error(page: Any) -> Any:
    """Return where the error line is, the last thing that happens."""
    error = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    return error.filter(has_text="RunNotFound: no run of")


def _bar(page: Any) -> Any:
    return page.locator(".jp-OutputArea-output", has_text=re.compile(r"run\s1/1.*/11\s\["))


def test_progress_in_jupyterlab(page: Any) -> None:
    # tqdm's widget, whose blanks are of another kind, or its text: with the rate, and the time left
    assert re.search(r"run\s1/1:.*\d+/11\s\[\d\d:\d\d<\d\d:\d\d,.*events.*\]", page.bar_was, re.DOTALL)
    assert _bar(page).count() == 0  # gone when it is done
    wrote = page.locator(".jp-OutputArea-output", has_text=re.compile(r"wrote /.*slow\.json"))
    assert wrote.count() == 1


def test_what_is_seen_in_jupyterlab(page: Any) -> None:
    assert len(_error(page).inner_text().strip().splitlines()) == 1
    table = page.locator(".jp-OutputArea-output table").first
    table.scroll_into_view_if_needed()

    def column(number: int) -> list[str]:
        return list(table.locator(f"tbody tr td:nth-child({number})").all_inner_texts())

    # it sorts
    assert column(1) == ["3", "2", "1"]
    table.locator("th", has_text="scan_id").click()
    assert column(1) == ["1", "2", "3"]
    table.locator("th", has_text="plan").click()
    assert column(5) == ["count", "grid_scan", "scan"]
    table.locator("th", has_text="plan").click()
    assert column(5) == ["scan", "grid_scan", "count"]
    plot = page.locator("img[alt='plot of the run']")
    plot.scroll_into_view_if_needed()
    assert plot.evaluate("image => image.naturalWidth") > 200
    if shot := os.environ.get("BLUESKY_EXPORT_SCREENSHOT"):
        page.screenshot(path=shot)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("%export -1 js", ["json", "jsonl"]), ("%export ", ["-1", "-5:", "3", "2", "1"])],
    ids=["formats", "runs"],
)
def test_tab_in_jupyterlab(page: Any, typed: str, offered: list[str]) -> None:
    page.keyboard.press("Escape")
    page.locator(".jp-Notebook .jp-CodeCell").last.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+a")
    page.keyboard.type(typed)
    items = page.locator(".jp-Completer-item .jp-Completer-match")
    _press_tab(page, items)
    assert list(items.all_inner_texts())[: len(offered)] == offered
    page.keyboard.press("Escape")


def _press_tab(page: Any, items: Any) -> None:
    """Press TAB until something is offered: what the kernel finds too late is there at the next."""
    from playwright.sync_api import TimeoutError as TooLate

    for _ in range(8):
        page.keyboard.press("Tab")
        try:
            return items.first.wait_for(timeout=10_000)
        except TooLate:
            continue
    raise AssertionError("TAB offers nothing")
