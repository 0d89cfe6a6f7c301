"""The learning page follows a real cycle from a document to promotion, and rolls it back.

A tiny model is really trained in child processes; the engine is the shipped fake. In Chromium.
"""

import asyncio
import json
from pathlib import Path

import pytest
from cycle_driver import build_runtime
from page_browser import browsing, paging, picture, serious
from tiny_models import build_tiny_model, write_general_corpus

from adapt.evals.encyclopedia import articles
from adapt.show import CycleView
from adapt.up import service
from store import Home, Store
from store.embeddings import HashEmbedder
from store.records import CycleState, VersionState
from tools.virtual_api.catalogue import build_catalogue

PATIENCE_MS = 240_000
"""A cycle on a machine that is busy with something else."""


def test_a_cycle_is_followed_to_promotion_and_rolled_back_by_a_click(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is reloaded by hand: the documents that wait, every stage, the loss as it falls, the
    gate's words and the new live version come by themselves; one click brings the old one back."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PERENNIAL_SERVER__PORT", "0")
    model = build_tiny_model(tmp_path / "model", max_length=1024)
    write_general_corpus(model)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    tool = build_catalogue(0).category("Museums")[0]

    async def look() -> None:
        home = Home(tmp_path / "home")
        with home.lock(), Store.open(home, HashEmbedder()) as store:
            runtime, _ = build_runtime(home, store, model, inbox)
            base = runtime.live()
            try:
                async with (
                    service(runtime, CycleView()) as url,
                    browsing() as browser,
                    paging(browser, url) as page,
                ):
                    page.set_default_timeout(PATIENCE_MS)
                    await page.goto("/learning")
                    await page.locator("#live").get_by_text(base).wait_for()
                    (inbox / "tool.json").write_text(json.dumps(tool.to_json()))
                    for name, text in articles(3, 4).items():
                        (inbox / name).write_text(text)
                    await page.get_by_role("button", name="first update").click()
                    await page.locator(".stage.is-running").first.wait_for()
                    await page.locator("figure.loss polyline.smooth").wait_for(state="attached")
                    await picture(page, tmp_path, "running")
                    assert not await serious(page)
                    await page.locator(".cycle:not(.is-running)").wait_for()
                    cycle = store.cycles.get(1)
                    assert cycle.state is CycleState.PROMOTED, (cycle.error, cycle.stages)
                    await page.locator(".cycle .badge", has_text="promoted").wait_for()
                    assert await page.locator(".stage.is-done").count() == 8
                    live = runtime.live()
                    assert live != base
                    await page.locator(".line-row.is-live", has_text=live).wait_for()
                    await page.locator("#live-now", has_text=live).wait_for()
                    await picture(page, tmp_path, "promoted")
                    await page.get_by_role("button", name=f"Roll back to {base}").click()
                    await page.locator(".line-row.is-live", has_text=base).wait_for()
                    assert runtime.live() == base
                    assert store.versions.get(live).state is VersionState.ROLLED_BACK
                    await page.get_by_role("link", name="1", exact=True).first.click()
                    await page.get_by_role("heading", name="Gate report").wait_for()
            finally:
                await runtime.engine.close()

    asyncio.run(asyncio.wait_for(look(), 500))
