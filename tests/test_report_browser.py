"""The page in a real browser: Chromium and its driver, as Debian packages them."""

import shutil

import pytest
from test_report import annotations  # noqa: F401 - a fixture

from cellprep import open_source
from cellprep.commands.report import ReportOptions, report_dataset

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


def visible(browser):
    return [row for row in find(browser, "#findings tbody tr") if row.is_displayed()]


def column(browser, number):
    return [row.find_elements("css selector", "td")[number].text for row in visible(browser)]


def test_it_says_nothing_on_the_console_and_asks_nobody(shown):
    assert shown.get_log("browser") == []
    asked = [
        entry["message"] for entry in shown.get_log("performance") if "Network.requestWillBeSent" in entry["message"]
    ]
    assert asked and all('"url":"file://' in message or '"url":"data:' in message for message in asked)


def test_filters(shown):
    everything = len(visible(shown))
    rule = find(shown, "#findings select[name=rule] option")[1]
    rule.click()
    name = rule.get_attribute("value")[1:]
    assert 0 < len(visible(shown)) < everything
    assert set(column(shown, 4)) == {name}
    assert find(shown, "#findings output")[0].text == f"{len(visible(shown))} of {everything} shown"
    find(shown, "#findings button[type=reset]")[0].click()
    whole = f"{everything} of {everything} shown"
    WebDriverWait(shown, 10).until(lambda _: find(shown, "#findings output")[0].text == whole)
    find(shown, "#findings input")[0].send_keys("B")
    assert set(column(shown, 1)) == {"b"}
    find(shown, "#gallery input")[0].send_keys("c")
    assert [
        item.get_attribute("data-image") for item in find(shown, "#gallery li[data-image]") if item.is_displayed()
    ] == ["c"]


def test_sorting_by_mouse_and_by_keyboard(shown):
    heads = find(shown, "#findings thead th")
    button = heads[2].find_element("css selector", "button")
    button.click()
    rows = [int(text) for text in column(shown, 2)]
    assert rows == sorted(rows) and len(set(rows)) > 1
    assert heads[2].get_attribute("aria-sort") == "ascending"
    button.send_keys("\ue007")  # enter
    assert [int(text) for text in column(shown, 2)] == sorted(rows, reverse=True)
    heads[4].find_element("css selector", "button").send_keys(" ")
    assert column(shown, 4) == sorted(column(shown, 4))
    assert heads[2].get_attribute("aria-sort") is None


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
