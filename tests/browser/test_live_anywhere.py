"""A mask anywhere: by number each part's bits are the library's; by turn they follow the split."""

from itertools import product

import numpy as np
import pytest

from dropout.mask import MaskKey, keep_mask, lanes, threshold
from dropout.shard import Shard
from tests.browser.looks import settle

SHAPE, SEED = (8, 24), 16
SPLITS = {"one": (1, 1), "rows2": (2, 1), "rows4": (4, 1), "columns4": (1, 4), "tiles": (2, 2)}
STREAMS, LAYOUTS = ("same", "rank", "shared"), {"row": "C", "column": "F"}
STATES = [
    {"split": split, "stream": stream, "layout": layout, "last": last}
    for split, stream, layout, last in product(SPLITS, STREAMS, LAYOUTS, (False, True))
]
MASK = "figure.draw(base, figure.plan(given, {by}), given.p)"
pytestmark = pytest.mark.unchecked


def places(split):
    """The shape of a device's part, and where each begins."""
    down, across = SPLITS[split]
    rows, columns = SHAPE[0] // down, SHAPE[1] // across
    return (rows, columns), [(rows * i, columns * j) for i in range(down) for j in range(across)]


def whole(p):
    return keep_mask(MaskKey(SEED), SHAPE, p)


def by_turn(p, split, stream, layout, last):
    """Each device takes its coins one after the other from a stream, and fills its part."""
    shape, starts = places(split)
    size, mask = shape[0] * shape[1], np.zeros(SHAPE, bool)
    order = list(enumerate(starts))[:: -1 if last else 1]
    for turn, (device, (row, column)) in enumerate(order):
        seed = SEED + device if stream == "rank" else SEED
        first = size * turn if stream == "shared" else 0
        taken = keep_mask(MaskKey(seed), (first + size,), p)[first:]
        part = taken.reshape(shape, order=LAYOUTS[layout])
        mask[row : row + shape[0], column : column + shape[1]] = part
    return mask


def reader(page):
    """What the figure says of the bits: by number, by turn."""
    settle(page)
    counts = page.locator("svg text", has_text="bits differ").all_text_contents()
    bold = page.locator(".live-said b").all_inner_texts()
    assert [f"{each.split()[0]} bits differ" for each in bold] == counts
    return [int(each.split()[0]) for each in counts]


def test_by_number_each_part_is_the_librarys_wherever_it_lies(evaluate):
    for p in (0.1, 0.5):
        given = [{**state, "p": p} for state in STATES]
        found = evaluate("anywhere", f"given.map((given) => {MASK.format(by='true')})", given)
        for state, mask in zip(STATES, found, strict=True):
            shape, starts = places(state["split"])
            for row, column in starts:
                part = keep_mask(MaskKey(SEED), shape, p, Shard(SHAPE, (row, column)))
                drawn = np.reshape(mask, SHAPE)[row : row + shape[0], column : column + shape[1]]
                assert np.array_equal(drawn, part)


def test_by_turn_the_mask_is_that_of_streams_in_numpy(evaluate):
    given = [{**state, "p": 0.3} for state in STATES]
    found = evaluate("anywhere", f"given.map((given) => {MASK.format(by='false')})", given)
    for state, mask in zip(STATES, found, strict=True):
        assert np.array_equal(np.reshape(mask, SHAPE), by_turn(0.3, **state))


def test_one_device_that_goes_row_by_row_is_what_both_are_compared_with(evaluate):
    assert evaluate("anywhere", "figure.alone(base, 0.3)") == whole(0.3).ravel().tolist()
    for stream in STREAMS:
        mask = by_turn(0.3, "one", stream, "row", last=False)
        assert np.array_equal(mask, whole(0.3))


def test_one_seed_for_all_repeats_one_mask_on_all_devices(evaluate):
    ask = f"given.map((given) => figure.masksOf({MASK.format(by='false')}, given))"
    found = evaluate("anywhere", ask, [{**state, "p": 0.5} for state in STATES])
    for state, masks in zip(STATES, found, strict=True):
        devices = len(places(state["split"])[1])
        assert masks == (1 if state["stream"] == "same" else devices)


def test_a_coin_is_a_lane_of_the_block_that_its_number_names(evaluate):
    coins = list(product((SEED, SEED + 3), (0, 7, 8, 137, 191)))
    ask = "given.map(([seed, number]) => figure.coin(base, {seed, number}))"
    for (seed, number), found in zip(coins, evaluate("anywhere", ask, coins), strict=True):
        block, lane = divmod(number, 8)
        eight = lanes(MaskKey(seed), np.array([8 * block]), 8)[0]
        assert found == {"block": block, "lane": lane, "lanes": eight.tolist()}


def test_the_bits_stay_by_number_and_move_by_turn_whatever_is_pressed(page):
    pressed = {
        "split": ["one device", "rows over 2", "rows over 4", "columns over 4", "4 tiles"],
        "by turn": ["one seed for all", "seed + rank", "one stream in turn"],
        "in memory": ["row-major", "column-major"],
    }
    state = {"split": "tiles", "stream": "same", "layout": "row", "last": False}
    keys = dict(zip(pressed, (SPLITS, STREAMS, LAYOUTS), strict=True))
    names = dict(zip(pressed, ("split", "stream", "layout"), strict=True))
    for group, words in pressed.items():
        for word, value in zip(words, keys[group], strict=True):
            page.get_by_role("group", name=group, exact=True).get_by_text(word, exact=True).click()
            state[names[group]] = value
            assert reader(page) == [0, (by_turn(0.5, **state) != whole(0.5)).sum()]
    page.get_by_label("last device first").check()
    state["last"] = True
    assert reader(page) == [0, (by_turn(0.5, **state) != whole(0.5)).sum()]
    assert "4 devices have 4 different masks" in page.locator(".live-said").inner_text()


def test_as_many_squares_are_marked_and_filled_as_the_masks_have(page):
    slider = page.get_by_role("slider", name="rate p")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    kept = [whole(0.3), by_turn(0.3, "tiles", "same", "row", last=False)]
    assert reader(page) == [0, (kept[0] != kept[1]).sum()]
    for svg, mask in zip(page.locator("svg.live-panel").all(), kept, strict=True):
        squares = "(paths) => paths.map((d) => d.getAttribute('d').split('M').length - 1)"
        assert sum(svg.locator(".on").evaluate_all(squares)) == mask.sum()
        assert svg.locator(".differ").evaluate_all(squares) == [(mask != kept[0]).sum()]


def test_a_click_shows_where_the_coin_of_an_element_comes_from(page):
    """Element (6, 3) of four tiles: the first element of tile 2 has number 96."""
    panels = page.locator("svg.live-panel")
    box = panels.first.bounding_box()
    assert box
    scale = box["width"] / 320
    x, y = 3 * 13 + 6, 27 + 3 * 15 + 6 * 15 + 7  # two of four rows of labels stand above, one spare
    page.mouse.click(box["x"] + x * scale, box["y"] + y * scale)
    numbers = (24 * 6 + 3, 2 * 12 + 3)  # in the whole, and of those that device 2 has drawn
    for panel, number in zip(panels.all(), numbers, strict=True):
        lane = lanes(MaskKey(SEED), np.array([number]), 1)[0, 0]
        t = threshold(0.5)
        coin = panel.locator(".coin", has_text=f"{lane:04x}")
        coin.wait_for()
        fate = f"< t = {t:04x} (hexadecimal): dropped" if lane < t else f"≥ t = {t:04x}"
        assert coin.text_content().startswith(f"{lane:04x} {fate}")
        words = panel.text_content()
        assert "element (6, 3), drawn by device 2" in words
        assert f"block {number} // 8 = {number // 8}, lane {number} % 8 = {number % 8}" in words


def test_the_keys_go_from_element_to_element(page):
    slider = page.get_by_role("slider", name="element")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.locator("svg text", has_text="its number: 24 · 5 + 18 = 138").wait_for()
    assert slider.get_attribute("aria-valuetext") == "(5, 18)"


def test_a_guess_is_answered_by_the_count_and_then_it_is_seen(page):
    mask = by_turn(0.05, "columns4", "rank", "row", last=False)
    truth = (mask != whole(0.05)).sum()
    assert f"{truth} of 192" not in page.locator(".live-said").inner_text()
    page.get_by_role("spinbutton").fill("150")
    page.get_by_role("button", name="That is my guess").click()
    page.locator(".live-told", has_text=f"You said 150, it is {truth}.").wait_for()
    assert reader(page) == [0, truth]
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".live-told").inner_text() == ""
