"""Real Chromium on a served application: looks at pages in both themes and at two widths.

Skips where there is no Chromium. Screenshots go to the folder that a test gives.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SCHEMES = ("light", "dark")
PATIENCE_MS = 20_000
_SERIOUS = ("serious", "critical")
# A refusal is what some tests are about; the browser notes each in its console.
_EXPECTED = ("Failed to load resource", "Response Status Error Code")


@asynccontextmanager
async def browsing() -> AsyncIterator[Any]:
    """A browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium on this machine")
    async with async_playwright() as playwright:
        # Inside a container nobody but root may be there, and then it has no sandbox.
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def paging(
    browser: Any, url: str, size: dict[str, int] = WIDE, scheme: str = "light"
) -> AsyncIterator[Page]:
    """A page in a fresh session. What the policy blocked, or a script did wrong, fails the test."""
    context = await browser.new_context(
        base_url=url, viewport=size, color_scheme=scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type == "error" and not said.text.startswith(_EXPECTED)
            else None
        ),
    )
    try:
        yield page
        assert not wrong, wrong
    finally:
        await context.close()


async def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps people out, in words."""
    found = await Axe().run(page)
    return [
        f"{page.url} {each['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for each in found.response["violations"]
        if each["impact"] in _SERIOUS
        for node in each["nodes"]
    ]


async def too_wide(page: Page) -> int:
    """By how many pixels a page is wider than its screen."""
    return await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


async def picture(page: Page, folder: Path, name: str) -> None:
    """A screenshot of the whole page."""
    await page.screenshot(path=folder / f"{name}.png", full_page=True)
