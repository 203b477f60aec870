"""The page in a real browser: Chromium and its driver, as Debian packages them."""

import json
import shutil

import pytest
from test_report import annotations  # noqa: F401 - a fixture

from cellprep import open_source, open_store
from cellprep.commands.report import ReportOptions, report_dataset
from cellprep.formats.annotations.exclusions import read_exclusions

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui", reason="selenium is not installed").WebDriverWait
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no Chromium with its driver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.add_argument("--force-prefers-reduced-motion")  # what is clicked must not be scrolling still
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser, annotations, tmp_path):  # noqa: F811
    report_dataset(open_source(annotations), tmp_path / "r.html", ReportOptions(jobs=1, quiet=True))
    see(browser, 1280)
    browser.get_log("performance")
    browser.get((tmp_path / "r.html").as_uri())
    return browser


def see(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def entries(browser):
    """Return image and row of each suspicious annotation that is shown."""
    return [
        tuple(json.loads(item.get_attribute("data-key"))) for item in find(browser, ".entry") if item.is_displayed()
    ]


def press(browser, *keys):
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def choices(browser):
    return {
        tuple(json.loads(item.get_attribute("data-key"))): item.get_attribute("data-choice")
        for item in find(browser, ".entry")
    }


def test_it_says_nothing_on_the_console_and_asks_nobody(shown):
    assert shown.get_log("browser") == []
    asked = [
        entry["message"] for entry in shown.get_log("performance") if "Network.requestWillBeSent" in entry["message"]
    ]
    assert asked and all('"url":"file://' in message or '"url":"data:' in message for message in asked)


def test_filters(shown):
    everything = entries(shown)
    assert sorted(everything) == [("a", 2), ("a", 3), ("b", 6)]
    find(shown, "#findings select[name=rule] option[value='=duplicate']")[0].click()
    assert entries(shown) == [("a", 3)]
    assert find(shown, "#findings output")[0].text == "1 of 3 shown"
    find(shown, "#findings input[name=image]")[0].send_keys("B")
    assert (entries(shown), find(shown, "#findings .nothing")[0].is_displayed()) == ([], True)
    find(shown, "#findings button[type=reset]")[0].click()
    WebDriverWait(shown, 10).until(lambda _: entries(shown) == everything)
    assert not find(shown, "#findings .nothing")[0].is_displayed()
    find(shown, "#order option[value=image]")[0].click()
    assert [image for image, _ in entries(shown)] == ["a", "a", "b"]


def test_choices_made_by_keys_are_kept_and_leave_out_what_they_exclude(shown, annotations, tmp_path, cli):  # noqa: F811
    shown.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    order = entries(shown)
    press(shown, "j", "x", "v", "x", "u")  # on the last there is no further one, so it is taken back
    expected = dict(zip(order, ("exclude", "keep", ""), strict=True))
    assert choices(shown) == expected
    find(shown, "#findings [data-all=exclude]")[0].click()
    expected[order[2]] = "exclude"
    shown.refresh()
    assert choices(shown) == expected
    assert find(shown, "#chosen")[0].text == "2 excluded, 1 kept, 0 undecided"

    flags = tmp_path / "flags.csv"
    find(shown, "#download")[0].click()
    WebDriverWait(shown, 10).until(lambda _: flags.exists())
    assert {(image, row) for image, row in read_exclusions(flags).rows.items()} == {
        (image, frozenset(row for of, row in (order[0], order[2]) if of == image))
        for image in {order[0][0], order[2][0]}
    }
    result = cli("build-targets", annotations, "--exclude", flags, "--out", tmp_path / "s.zarr", "--jobs", 1)
    assert result.exit_code == 0, result.output
    left = {
        (image.id, row)
        for image in open_store(tmp_path / "s.zarr").values()
        for row in image.read("cells")[:, 0].tolist()
    }
    assert left == {("a", 2), ("a", 3), ("a", 4), ("b", 5)} - {order[0], order[2]}

    flags.write_text('\ufeffnote,row,image\r\n"a ""quoted"", note",2,a\r\n,,z\r\n', newline="")
    find(shown, "#load")[0].send_keys(str(flags))
    WebDriverWait(shown, 10).until(lambda _: "Loaded, but 1 that it names" in find(shown, "#chosen")[0].text)
    assert choices(shown) == {
        place: "exclude" if place == ("a", 2) else expected[place].replace("exclude", "") for place in order
    }


def test_pictures_are_enlarged_by_keys(shown):
    viewer, dialog = find(shown, "#viewer")[0], "#viewer .large"
    find(shown, "#gallery .enlarge")[0].send_keys("\ue007")  # enter
    assert viewer.is_displayed() and find(shown, "#viewer .caption")[0].text.endswith("(1 of 3)")
    press(shown, "\ue014")  # to the right
    assert find(shown, f"{dialog} img")[0].get_attribute("alt") == "b"
    assert find(shown, f"{dialog} .outlines")[0].is_displayed()
    press(shown, "o")
    assert not find(shown, f"{dialog} .outlines")[0].is_displayed()
    press(shown, "o", "\ue00c")  # escape
    assert not viewer.is_displayed()
    assert shown.switch_to.active_element == find(shown, "#gallery .enlarge")[1]
    press(shown, "?")
    assert find(shown, "#keys")[0].is_displayed()


def test_light_and_dark(shown):
    def back():
        return shown.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
    white = back()
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    black = back()
    assert white != black
    find(shown, "#theme")[0].click()
    assert back() == white
    find(shown, "#theme")[0].send_keys("\ue007")
    assert back() == black
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
    assert back() == black  # what was chosen stays


@pytest.mark.parametrize("width", [320, 375, 768])
def test_nothing_is_wider_than_a_phone(shown, width):
    see(shown, width)
    assert shown.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_first_tab_stop_skips_to_the_content(shown):
    find(shown, "body")[0].send_keys("\ue004")
    first = shown.switch_to.active_element
    assert first.get_attribute("href").endswith("#content")
