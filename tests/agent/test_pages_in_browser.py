"""The pages in real Chromium: accessible in both themes and at two widths, and usable by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_runtime import BASE, add_version
from page_browser import NARROW, SCHEMES, WIDE, browsing, paging, picture, serious, too_wide
from page_evidence import judged_home
from playwright.async_api import Page
from trial_runtime import Served, served

from adapt.serving import serving
from store.records import Document, utc_now
from store.source_records import Finding, Source


def run(work: Any) -> Any:
    """To the end; a browser takes its time on a busy machine."""
    return asyncio.run(asyncio.wait_for(work, 240))


def helper(model: str, messages: list[dict[str, Any]], tools: list[Any]) -> Any:
    """Reckons when asked to, and writes markdown."""
    last = messages[-1]
    if last["role"] == "tool":
        return f"**{model}** reckons: {last['content']}"
    if "plus" in last["content"]:
        return [{"name": "calculate", "arguments": {"expression": "1+1"}}]
    return (
        " ".join(f"word{i}" for i in range(200))
        if "long" in last["content"]
        else (f"{model} heard {last['content']}")
    )


@asynccontextmanager
async def open_site(home: Path, **settings: Any) -> AsyncIterator[tuple[Served, str]]:
    """A served home on a port."""
    async with served(home, helper, **settings) as service:
        app: Any = service.client._transport
        async with serving(app.app, "127.0.0.1", 0, 5.0) as url:
            yield service, url


@asynccontextmanager
async def at_page(
    home: Path, scheme: str = "light", **settings: Any
) -> AsyncIterator[tuple[Served, Page]]:
    """A served home, and a wide page of it in a browser."""
    async with (
        open_site(home, **settings) as (service, url),
        browsing() as browser,
        paging(browser, url, WIDE, scheme) as page,
    ):
        yield service, page


def furnish(service: Served) -> tuple[str, ...]:
    """Something on every page; the paths of single things."""
    store = service.runtime.store
    judged_home(store)
    store.sources.add(Source(name="notes", location="/notes", added_at=utc_now(), trust=0.2))
    for number, held in ((1, True), (2, False)):
        document = Document(
            digest=f"{number:064x}", source="notes", address=f"/notes/{number}.md",
            title=f"Note {number}", text="What it says.\n" * 30, kind="prose", fetched_at=utc_now(),
        )  # fmt: skip
        store.documents.add(document)
        if held:
            found = Finding(kind="instruction", words="speaks to a model", excerpt="dear model")
            store.reviews.hold({document.digest: [found]})
        else:
            store.documents.accept(document.digest)
    return (
        "/learning/cycles/1", f"/learning/versions/{service.candidate}",
        f"/learning/documents/{1:064x}",
    )  # fmt: skip


def test_every_page_is_accessible_at_both_widths_in_both_themes(tmp_path: Path) -> None:
    """axe-core finds nothing serious, nothing is wider than the screen, and nothing is blocked."""

    async def look() -> None:
        async with open_site(tmp_path / "home") as (service, url), browsing() as browser:
            single = furnish(service)
            await service.ask("chat-000000000001")
            paths = (
                "/", "/chat/chat-000000000001", "/learning", *single, "/learning/documents",
                "/learning/compare", "/sources", "/evals", "/login", "/chat/chat-0",
            )  # fmt: skip
            for scheme in SCHEMES:
                for size in (WIDE, NARROW):
                    async with paging(browser, url, size, scheme) as page:
                        for place, path in enumerate(paths):
                            await page.goto(path)
                            await picture(page, tmp_path, f"{place}-{scheme}-{size['width']}")
                            found = await serious(page)
                            assert not found, "\n".join(found)
                            assert await too_wide(page) <= 0, path

    run(look())


def test_empty_pages_say_what_to_do_first(tmp_path: Path) -> None:
    """From an empty home one link after the other leads to a source and an update."""

    async def look() -> None:
        async with at_page(tmp_path / "home") as (_, page):
            await page.goto("/evals")
            await page.get_by_role("link", name="To the learning page").click()
            await page.get_by_role("link", name="Add a source").click()
            await page.get_by_label("Name").fill("notes")
            await page.get_by_label("Location").fill(str(tmp_path / "nowhere"))
            await page.get_by_role("button", name="Add").click()
            await page.get_by_role("alert").filter(has_text="is not a folder").wait_for()
            # What was typed is still there.
            assert await page.get_by_label("Name").input_value() == "notes"
            (tmp_path / "nowhere").mkdir()
            (tmp_path / "nowhere" / "a.md").write_text("# Hours\n\nOpen at nine.")
            await page.get_by_role("button", name="Add").click()
            await page.get_by_role("heading", name="notes").wait_for()
            await page.get_by_role("button", name="Test").click()
            await page.get_by_text("1 new").wait_for()
            await page.get_by_role("link", name="Learning").first.click()
            await page.get_by_role("button", name="Run the first update").wait_for()

    run(look())


def test_a_chat_by_hand(tmp_path: Path) -> None:
    """Enter sends; the call folds; the version stands beside the answer; a correction is kept; a
    retry on another version stands below; the thread is in the list and comes back."""

    async def look() -> None:
        async with at_page(tmp_path / "home") as (service, page):
            store = service.runtime.store
            await service.runtime.swap.load(store.versions.get(service.candidate))
            await page.goto("/")
            await page.keyboard.type("what is 1 plus 1?")
            await page.keyboard.press("Enter")
            turn = page.locator(".turn").first
            await turn.locator(".prose strong", has_text=BASE.version_name).wait_for()
            call = turn.locator("details.call")
            assert not await call.locator("pre").first.is_visible()
            await call.locator("summary").click()
            await call.locator("pre", has_text='"expression": "1+1"').wait_for()
            assert await turn.locator(".badge.version").inner_text() == BASE.version_name
            await turn.get_by_role("button", name="Bad answer").click()
            await turn.get_by_label("What should the answer have been?").fill("two")
            await turn.get_by_role("button", name="Save").click()
            await turn.get_by_role("button", name="Save anew").wait_for()
            assert [f.correction for f in store.feedback.corrected()] == ["two"]
            await turn.get_by_role("button", name="Why").click()
            await turn.get_by_text("What this answer rests on").wait_for()
            await turn.get_by_text("Retry on").click()
            await turn.get_by_role("button", name=service.candidate).click()
            other = page.locator(".turn.other")
            await other.locator(".prose strong", has_text=service.candidate).wait_for()
            await page.locator("#thread-list a", has_text="what is 1 plus 1?").wait_for()
            await page.reload()
            assert await page.locator(".turn").count() == 1

    run(look())


def test_stop_ends_the_run_and_frees_its_place(tmp_path: Path) -> None:
    """Esc while an answer is written: the words so far stay, the engine's work ends."""

    async def look() -> None:
        async with at_page(tmp_path / "home") as (service, page):
            service.fake.word_delay_s = 0.05
            await page.goto("/")
            await page.get_by_label("Message").fill("a long answer")
            await page.get_by_role("button", name="Send").click()
            await page.locator(".streaming", has_text="word3").wait_for()
            await page.keyboard.press("Escape")
            await page.get_by_text("Stopped. This turn is not kept.").wait_for()
            assert "word3" in await page.locator(".turn").inner_text()
            assert await page.get_by_label("Message").input_value() == "a long answer"
            agent: Any = service.client._transport
            state = agent.app._app.state.perennial
            async with asyncio.timeout(10):
                while state.agent.pinned():
                    await asyncio.sleep(0.02)

    run(look())


def test_calls_are_confirmed_by_hand(tmp_path: Path) -> None:
    """What is unticked is not called, and the question is still there after a reload."""
    rules = {"rules": {"calculate": {"permission": "confirm"}}}

    async def look() -> None:
        async with at_page(tmp_path / "home", tools=rules) as (_, page):
            await page.goto("/")
            await page.keyboard.type("what is 1 plus 1?")
            await page.keyboard.press("Enter")
            await page.get_by_text("May these calls be made?").wait_for()
            assert not await serious(page)
            await page.reload()
            await page.get_by_role("checkbox").uncheck()
            await page.get_by_role("button", name="Go on").last.click()
            await page.locator(".prose", has_text="declined").wait_for()

    run(look())


def test_the_theme_follows_the_system_until_it_is_switched(tmp_path: Path) -> None:
    async def look() -> None:
        ground = "getComputedStyle(document.body).backgroundColor"
        async with at_page(tmp_path / "home", scheme="dark") as (_, page):
            await page.goto("/evals")
            dark = await page.evaluate(ground)
            await page.get_by_role("button", name="Switch between").click()
            light = await page.evaluate(ground)
            assert light != dark
            await page.goto("/sources")
            assert await page.evaluate(ground) == light

    run(look())


def test_what_goes_live_elsewhere_is_shown_by_itself(tmp_path: Path) -> None:
    """An open page follows a promotion: its tiles, its lineage and the bar say the same."""

    async def look() -> None:
        async with at_page(tmp_path / "home") as (service, page):
            await page.goto("/learning")
            body = {"version": service.candidate}
            assert (await service.client.post("/admin/promote", json=body)).status_code == 200
            for place in ("#live-now", "#live .badge.is-live", ".line-row.is-live"):
                await page.locator(place, has_text=service.candidate).wait_for()

    run(look())


def test_two_versions_answer_side_by_side(tmp_path: Path) -> None:
    async def look() -> None:
        async with at_page(tmp_path / "home") as (service, page):
            version = add_version(service.runtime.store, 2)
            await service.runtime.swap.load(version)
            await page.goto(f"/learning/compare?a={BASE.version_name}&b={version.name}")
            await page.get_by_label("Question for both").fill("hello")
            await page.get_by_role("button", name="Ask both").click()
            for side, name in (("a", BASE.version_name), ("b", version.name)):
                await page.locator(f"#side-{side}", has_text=f"{name} heard hello").wait_for()

    run(look())


def test_a_key_is_asked_for_once(tmp_path: Path) -> None:
    """The login leads on to where one wanted to be, and what may not be done is said."""

    async def look() -> None:
        async with at_page(tmp_path / "home") as (service, page):
            _, shown = service.runtime.store.keys.create("reader", ("read",))
            await page.goto("/evals")
            await page.get_by_label("API key").fill(shown)
            await page.keyboard.press("Enter")
            await page.get_by_role("heading", name="Evals").wait_for()
            assert not await page.get_by_role("link", name="Chat").count()
            await page.get_by_role("button", name="Log out").click()
            await page.get_by_role("heading", name="Log in").wait_for()

    run(look())


def test_what_cannot_be_taken_back_is_asked_first(tmp_path: Path) -> None:
    """Removing a source: cancel keeps it, and the dialog is left by keyboard."""

    async def look() -> None:
        async with at_page(tmp_path / "home") as (service, page):
            furnish(service)
            sources = service.runtime.store.sources
            await page.goto("/sources")
            await page.get_by_role("button", name="Remove").click()
            await page.get_by_text("Forget the source notes?").wait_for()
            await page.keyboard.press("Escape")
            assert [source.name for source in sources.list()] == ["notes"]
            await page.get_by_role("button", name="Remove").click()
            await page.get_by_role("button", name="Go on").click()
            await page.get_by_text("is forgotten").wait_for()
            assert not sources.list()

    run(look())
