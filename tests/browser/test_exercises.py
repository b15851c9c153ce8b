"""The exercises, worked in the page as a reader would: from disk, with no server."""

import json
import re
from contextlib import contextmanager

import pytest

from dropout.exercises import find
from dropout.exercises.forms import Choice, Code, Formula, Number
from tests.browser import looks
from tests.browser.accessible import BY_LOOK, serious_violations
from tests.browser.book import HTML, PAGES, parsed
from tests.browser.test_pages import DESKTOP, UNFOLD, Visit, sideways
from tests.exercises.formula_cases import COMPARE, for_page

PATIENCE = 20_000  # milliseconds


def asked_on(page: str) -> list[str]:
    """The exercises of a page."""
    found = re.findall(r"<section [^>]*>", (HTML / page).read_text("utf-8"))
    names = re.findall(r'id="exercise-(\d\d-\d+)"', "".join(found))
    return [name.replace("-", ".") for name in names]


ASKED = {page: keys for page in PAGES if (keys := asked_on(page))}
WHERE = {key: page for page, keys in ASKED.items() for key in keys}
pytestmark = pytest.mark.skipif(not WHERE, reason="the built book asks no exercise")


def of_kind(kind: type) -> list[str]:
    return [key for key in WHERE if isinstance(find(key), kind)]


CODE = [key for key in of_kind(Code) if find(key).in_page]
FIRST = {kind: next(iter(of_kind(kind)), None) for kind in (Number, Choice, Formula)}
FIRST[Code] = "03.6" if "03.6" in CODE else next(iter(CODE), None)
LOCKS = [key for key in WHERE if find(key).reveals]


# Gives answers one after the other: what each is told, and what is then kept of the exercise.
GIVE = """async (section, [key, answers, patience]) => {
  const said = section.querySelector("[role=status]"), found = [];
  const fields = [...section.querySelectorAll(".answer :is(input, textarea)")];
  for (const answer of answers) {
    if (fields[0].type === "radio") fields.find((each) => each.value === answer).checked = true;
    else fields[0].value = answer;
    section.querySelector("button.check").click();
    const limit = performance.now() + patience;
    while (!said.textContent || said.textContent.startsWith("Running")) {
      if (performance.now() > limit) throw new Error(`no verdict on ${answer}`);
      await new Promise((done) => setTimeout(done, 5));
    }
    const kept = JSON.parse(localStorage.getItem("dropout-exercises") ?? "{}");
    found.push([said.textContent, kept[key]]);
  }
  return found;
}"""


class Worked:
    """One exercise on an open page."""

    def __init__(self, page, key):
        self.page, self.key = page, key
        self.section = page.locator(f"#exercise-{key.replace('.', '-')}")
        self.said = self.section.locator("[role=status]")
        self.button = self.section.get_by_role("button", name="Check")

    def give(self, answer: str) -> str:
        """Give an answer, and read what it is told."""
        if isinstance(find(self.key), Choice):
            self.section.locator(f"input[value='{answer}']").check()
        else:
            self.section.locator("input, textarea").fill(answer)
        self.button.click()
        return self.told()

    def give_all(self, answers: list[str]) -> list[tuple[str, dict]]:
        """Give answers by script, in one go: what each is told, and what is then kept."""
        return self.section.evaluate(GIVE, [self.key, answers, PATIENCE])

    def told(self) -> str:
        self.page.wait_for_function(
            "place => place.textContent && !place.textContent.startsWith('Running')",
            arg=self.said.element_handle(),
            timeout=PATIENCE,
        )
        return self.said.inner_text()

    def kept(self) -> dict:
        """What the browser remembers of it."""
        kept = self.page.evaluate("() => localStorage.getItem('dropout-exercises')")
        return json.loads(kept or "{}").get(self.key, {})

    @property
    def solved(self) -> bool:
        return "solved" in self.section.get_attribute("class").split()


@contextmanager
def reader(browser):
    """Opens pages as a reader with nothing remembered; what the browser complains of fails."""
    opened, complaints = [], []

    def open_page(address: str, **media):
        context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda each: each.type in ("error", "warning") and complaints.append(each.text),
        )
        page.on(
            "request",
            lambda each: (
                each.url.startswith(("file:", "data:", "blob:")) or complaints.append(each.url)
            ),
        )
        page.emulate_media(**{"color_scheme": "light"} | media)
        page.goto(f"{HTML.as_uri()}/{address}")
        page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")
        return page

    yield open_page
    for context in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def open_page(browser):
    with reader(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module", params=ASKED)
def worked(request, browser):
    """The exercises of a page that is opened once for several tests."""
    with reader(browser) as open_page:
        opened = open_page(request.param)
        yield [Worked(opened, key) for key in ASKED[request.param]]


TYPESET = """() => [...document.querySelectorAll(".said .math")]
    .every((formula) => formula.querySelector("mjx-container"))"""


@pytest.fixture(scope="module")
def answered(worked):
    """A page on which all is unfolded, and all but the code answered, wrongly if possible."""
    for asked in worked:
        exercise = find(asked.key)
        if isinstance(exercise, Choice | Formula) or type(exercise) is Number:
            asked.give_all([str(exercise.wrong[0].answer if exercise.wrong else exercise.right())])
        elif asked.key in CODE:
            asked.section.get_by_role("button", name="Begin again").click()
    page = worked[0].page
    page.evaluate(UNFOLD)
    page.wait_for_function(TYPESET, timeout=PATIENCE)
    return page


@pytest.fixture
def work(open_page):
    """Opens an exercise's page; skips where no page asks one of that kind."""

    def work(key: str | None) -> Worked:
        if key is None:
            pytest.skip("the built book asks none")
        return Worked(open_page(WHERE[key]), key)

    return work


def plain(markdown: str) -> str:
    """The words of a message, without its marks; formulas are typeset, and left out."""
    return " ".join(re.sub(r"\$[^$]*\$|[`*]", " ", markdown).split())


# ---- the table ------------------------------------------------------------------------------


@pytest.mark.skipif(not WHERE, reason="no book")
def test_formulas_numbers_and_messages_are_as_in_python(open_page):
    page = open_page(next(iter(WHERE.values())))
    assert page.evaluate(f"cases => {{ {COMPARE} return compared(cases); }}", for_page()) == []


# ---- a page that is opened once for several tests ----------------------------------------------


ON_SCREEN_ONLY = ".exercise details, .exercise button, button.forget, .veil"
SEEN = """all => all.filter((each) => each.checkVisibility({ visibilityProperty: true }))
    .map((each) => each.outerHTML.slice(0, 80))"""


# The first test of a page that is opened once: later ones answer, and lift the veils.
def test_on_paper_answers_hints_and_solutions_are_left_out(worked):
    page = worked[0].page
    page.evaluate(UNFOLD)
    page.emulate_media(color_scheme="dark")
    looks.onto_paper(page)
    try:
        assert page.locator(ON_SCREEN_ONLY).evaluate_all(SEEN) == []
        assert looks.clipped(page) == []
    finally:
        page.emulate_media(media="screen", color_scheme="light")
        page.set_viewport_size(DESKTOP)
        page.evaluate(UNFOLD.replace("true", "false"))


def test_a_prediction_hides_what_settles_it_until_there_is_an_answer(worked):
    """And it stays lifted when the page is read again, which is tried on one page."""
    page = worked[0].page
    locks = [asked for asked in worked if find(asked.key).reveals]
    for asked in locks:
        exercise = find(asked.key)
        veil = veil_of(asked)
        assert veil.count() == 1, asked.key
        hidden = veil.locator("xpath=following-sibling::*[1]")
        assert not hidden.is_visible(), asked.key
        page.emulate_media(media="print")
        assert hidden.is_visible(), asked.key
        page.emulate_media(media="screen")
        if not isinstance(exercise, Choice):
            asked.give("no answer")
            assert not hidden.is_visible(), asked.key
        asked.give(str(exercise.right()))
        assert veil.count() == 0, asked.key
    if locks and locks[0].key == LOCKS[0]:
        page.reload()
        assert [asked.key for asked in locks if veil_of(asked).count()] == []


def veil_of(asked: Worked):
    link = asked.page.locator(f"a[href='#{asked.section.get_attribute('id')}']")
    return asked.page.locator(".veil", has=link)


def test_each_wrong_answer_draws_its_message_and_right_ones_pass(worked):
    """The gallery by script; the solution by hand."""
    for asked in worked:
        key, exercise = asked.key, find(asked.key)
        if isinstance(exercise, Code):
            continue
        wrong = [each.answer for each in exercise.wrong]
        for answer, (said, kept) in zip(wrong, asked.give_all([*map(str, wrong)]), strict=True):
            assert said.startswith("Not yet."), (key, answer)
            assert kept["message"] == exercise.judge(answer).message, (key, answer)
        equal = getattr(exercise, "equal", ())
        for answer, (said, _) in zip(equal, asked.give_all([*equal]), strict=True):
            assert said.startswith("Right."), (key, answer)
        if wrong:
            asked.give_all([str(wrong[0])])
        assert asked.give(str(exercise.right())).startswith("Right."), key


def test_code_that_solves_passes_and_each_wrong_one_draws_its_message(worked):
    """The gallery by script; the solution by hand."""
    for asked in worked:
        if asked.key not in CODE:
            continue
        key, exercise = asked.key, find(asked.key)
        assert asked.give(exercise.code.strip()).startswith("Right."), asked.said.inner_text()
        sources = [source.strip() for source, _ in exercise.gallery]
        for (source, says), (_, kept) in zip(
            exercise.gallery, asked.give_all(sources), strict=True
        ):
            library = re.search(r"^\s*import (numpy|torch)", source, re.MULTILINE)
            told = "in the page there is Python alone" if library else says
            assert told in kept["message"], (key, source)


CHANGED = "section.exercise, button.forget, .progress-of, .guess, .guess ~ *"  # by answers


@pytest.mark.parametrize(
    ("theme", "width", "rules"), [("light", 1280, None), ("dark", 390, BY_LOOK)]
)
def test_answered_exercises_are_accessible(answered, theme, width, rules):
    Visit(answered).look(theme, {"width": width, "height": 900})
    looks.mark_scrolling(answered)
    assert serious_violations(answered, CHANGED, rules) == []


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_answered_exercises_fit(answered, width):
    Visit(answered).look("light", {"width": width, "height": 900})
    assert sideways(answered) <= 0
    assert looks.clipped(answered, looks.MAY_SCROLL[width]) == []


# ---- numbers, choices, formulas -------------------------------------------------------------


def test_a_wrong_number_is_mended_passes_and_is_remembered(work):
    asked = work(FIRST[Number])
    exercise = find(asked.key)
    wrong = exercise.wrong[0]
    said = asked.give(str(wrong.answer))
    assert said.startswith("Not yet.")
    for words in re.split(r"\$[^$]*\$", wrong.says):
        assert plain(words) in " ".join(said.split())
    formulas = asked.said.locator("mjx-container")
    if "$" in wrong.says:
        formulas.first.wait_for()
    assert formulas.count() == asked.kept()["message"].count("$") // 2
    assert not asked.solved
    assert asked.give(repr(exercise.answer)).startswith("Right.")
    assert asked.solved
    asked.page.reload()
    assert asked.section.locator("input").input_value() == repr(exercise.answer)
    assert asked.solved
    assert asked.said.inner_text().startswith("Right.")
    assert asked.kept()["attempts"] == 2


def test_what_is_no_number_is_said_and_no_attempt(work):
    asked = work(FIRST[Number])
    for text in ("", "abc", "1/0", "<img src=x onerror=alert(1)>"):
        assert asked.give(text) == find(asked.key).judge(text).message.replace("`", "")
        assert asked.kept() == {}


def test_a_choice_by_keyboard_alone(work):
    asked = work(FIRST[Choice])
    exercise, page = find(asked.key), asked.page
    letters = list(exercise.options)
    wrong = next(k for k, letter in enumerate(letters) if letter != exercise.answer)
    asked.section.locator("input").first.focus()
    page.keyboard.press("Space")
    for _ in range(wrong):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert asked.told().startswith("Not yet.")
    focused = page.evaluate("() => document.activeElement.textContent")
    assert focused == "Check"
    page.keyboard.press("Shift+Tab")
    for _ in range(len(letters) + letters.index(exercise.answer) - wrong):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "place => place.textContent.startsWith('Right.')", arg=asked.said.element_handle()
    )
    assert asked.solved


def test_a_choice_without_a_choice(work):
    asked = work(FIRST[Choice])
    asked.button.click()
    assert asked.told() == "Choose one of the answers."


# ---- hints, solution ------------------------------------------------------------------------


# Unfolds the hints of an exercise: which are seen, before each and after the last.
LADDER = """section => {
  const hints = [...section.querySelectorAll(".hints > details")];
  const seen = () => hints.map((each) => each.checkVisibility());
  return [...hints.map((hint) => {
    const before = seen();
    hint.querySelector("summary").click();
    return before;
  }), seen()];
}"""


@pytest.mark.parametrize("page", ASKED)
def test_hints_unfold_one_by_one_and_without_a_script(browser, page):
    """By the page's own elements; the solution of its first exercise by hand."""
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(f"{HTML.as_uri()}/{page}")
    for key in ASKED[page]:
        section = opened.locator(f"#exercise-{key.replace('.', '-')}")
        count = len(find(key).hints)
        ladder = [[j <= k for j in range(count)] for k in range(count)]
        assert section.evaluate(LADDER) == [*ladder, [True] * count], key
        assert "in the notebook" in section.inner_text()
        if key == ASKED[page][0]:
            section.locator("details.solution > summary").click()
        else:
            section.locator("details.solution > summary").evaluate("each => each.click()")
        assert section.locator("details.solution > :not(summary)").first.is_visible()
    context.close()


@pytest.mark.parametrize("key", of_kind(Code))
def test_the_solution_shown_is_the_tested_source(key):
    section = parsed(HTML / WHERE[key]).find(id=f"exercise-{key.replace('.', '-')}")
    shown = section.select_one("details.solution pre").get_text()
    assert shown.strip() == find(key).code.strip()


# ---- code -----------------------------------------------------------------------------------

ENDLESS = "def {name}(*given):\n    print('going round')\n    while True:\n        pass\n"
BROKEN = "import random\n\n\ndef {name}(*given)\n    return given\n"
FAULTY = "def {name}(*given):\n    values = []\n    return values[7]\n"


def test_code_wrong_read_mended_passed_and_remembered(work):
    asked = work(FIRST[Code])
    exercise = find(asked.key)
    asked.button.click()
    assert asked.told() == "Not attempted yet."
    assert asked.kept() == {}
    source, says = exercise.gallery[0]
    said = asked.give(source.strip())
    assert said.startswith("Not yet.")
    assert plain(says) in plain(said)
    assert asked.give(exercise.code.strip()).startswith("Right.")
    asked.page.reload()
    assert asked.section.locator("textarea").input_value() == exercise.code.strip()
    assert asked.solved


def test_code_that_never_ends_is_stopped_and_the_next_check_works(work):
    asked = work(FIRST[Code])
    exercise = find(asked.key)
    endless = ENDLESS.format(name=exercise.name)
    assert "does not end within" in asked.give(endless)
    assert "going round" in asked.section.locator(".printed").inner_text()
    asked.section.locator("textarea").fill(endless)
    asked.button.click()
    stop = asked.section.get_by_role("button", name="Stop")
    stop.focus()
    asked.page.wait_for_timeout(500)
    asked.page.keyboard.press("Enter")
    assert asked.told() == "Stopped."
    assert asked.page.evaluate("() => document.activeElement.textContent") == "Check"
    assert not stop.is_visible()
    assert asked.give(exercise.code.strip()).startswith("Right.")


def test_errors_name_the_readers_own_line(work):
    asked = work(FIRST[Code])
    name = find(asked.key).name
    assert "SyntaxError: invalid syntax in line 4" in asked.give(BROKEN.format(name=name))
    assert re.search(r"raises IndexError: .* in line 3", asked.give(FAULTY.format(name=name)))
    assert "there is Python alone" in asked.give(f"import numpy\ndef {name}(*given): pass")
    assert f"defines no {name}" in asked.give("x = 1")
    assert "Next: type “ anew" in asked.give(f"def {name}(*given):\n    print(“given”)\n")
    blanks = find(asked.key).code.strip().replace("    ", "\u00a0" * 4)
    assert asked.give(blanks).startswith("Right.")
    deep = f"def {name}(*given):\n    return {name}(*given)\n"
    assert "in line 2" in asked.give(deep)


def test_begun_again_the_message_is_gone_and_the_code_can_be_brought_back(work):
    asked = work(FIRST[Code])
    text = asked.section.locator("textarea")
    given = text.input_value()
    asked.give("print(1)")
    asked.section.get_by_role("button", name="Begin again").click()
    assert text.input_value() == given
    assert asked.said.inner_text() == ""
    assert not asked.section.locator(".printed").is_visible()
    asked.page.keyboard.press("Control+z")
    assert text.input_value() == "print(1)"


def test_what_is_printed_is_shown_up_to_twenty_lines(work):
    asked = work(FIRST[Code])
    exercise = find(asked.key)
    many = "for line in range(500):\n    print('line', line)\n" + exercise.code
    assert asked.give(many).startswith("Right.")
    lines = asked.section.locator(".printed").inner_text().splitlines()
    assert lines == ["Printed:", *(f"line {k}" for k in range(20)), "…"]


def test_the_editor_indents_and_lets_go(work):
    asked = work(FIRST[Code])
    page, text = asked.page, asked.section.locator("textarea")
    text.fill("def f(x):")
    text.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("if x:")
    page.keyboard.press("Enter")
    page.keyboard.type("y")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("return")
    page.keyboard.press("Tab")
    assert text.input_value() == "def f(x):\n    if x:\n        y\n    return  "
    assert page.evaluate("() => document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Check"


# ---- the page -------------------------------------------------------------------------------


def test_progress_stands_in_the_contents_of_every_page_until_it_is_forgotten(work):
    asked = work(FIRST[Number])
    asked.give(repr(find(asked.key).answer))
    wanted = f"1 of {len(ASKED[WHERE[asked.key]])}"
    assert asked.page.locator(".bd-links .progress-of").inner_text() == wanted
    other = asked.page.context.new_page()
    other.goto(f"{HTML.as_uri()}/{next(page for page in PAGES if page not in ASKED)}")
    mark = other.locator(".bd-links .progress-of")
    if other.locator(".bd-links").count():
        assert mark.inner_text() == wanted
    forget = asked.page.get_by_role("button", name="Forget my answers on this page")
    before = asked.kept()
    asked.page.once("dialog", lambda dialog: dialog.dismiss())
    forget.click()
    assert before
    assert asked.kept() == before
    asked.page.once("dialog", lambda dialog: dialog.accept())
    forget.click()
    assert asked.kept() == {}
    assert not asked.solved
    assert asked.section.locator("input").input_value() == ""
    assert not asked.page.locator(".bd-links .progress-of").count()
    other.close()


def test_nothing_is_lost_where_the_browser_keeps_nothing(browser):
    key = FIRST[Number]
    page = browser.new_page()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })"
    )
    page.goto(f"{HTML.as_uri()}/{WHERE[key]}")
    asked = Worked(page, key)
    assert asked.give(repr(find(key).answer)).startswith("Right.")
    assert asked.solved
    page.close()
