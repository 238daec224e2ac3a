"""The start-up product in a real browser: from nothing to people in its directory."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from examples.product import Product, add_staff, entries, make_database, remove_staff
from servers.openldap import PASSWORDS, SYNC, OpenLdap

CHROMIUM = shutil.which("chromium") or "chromium"
WAIT = 30_000
NORTH, SOUTH = "correct horse north", "correct horse south"
UNLABELLED = """() => [...document.querySelectorAll('input, select, textarea')]
    .filter(e => e.type !== 'hidden' && !e.labels.length && !e.ariaLabel)
    .map(e => e.outerHTML)"""
TOO_WIDE = "() => document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    server = OpenLdap(tmp_path_factory.mktemp("ldap"))
    server.create()
    server.load(entries())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    with Product(tmp_path_factory.mktemp("product")) as running:
        make_database(running.practice / "staff.db")
        add_staff(running.practice / "staff.db", 26)
        yield running


@pytest.fixture
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


class Visitor:
    """Somebody with a browser of their own; notes what the console says."""

    def __init__(self, browser, product, pictures, name, width=1100):
        context = browser.new_context(viewport={"width": width, "height": 800})
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT)
        self.complaints = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.product, self.pictures, self.name = product, pictures, name
        self._shots = 0
        self.page.goto(product.url)

    def _said(self, message):
        expected = re.search(r"status of (403|409|422)", message.text)
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(message.text)

    def sign_up(self, company, email, password):
        self.page.get_by_label("Company").fill(company)
        self.page.get_by_label("Your e-mail address").fill(email)
        self.page.get_by_label("Password").first.fill(password)
        self.press("Create company")

    def press(self, name):
        with self.page.expect_navigation():  # or the old page would answer
            self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name):
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=name, exact=True).first.click()

    def sees(self, title):
        expect(self.page.get_by_role("heading", level=1)).to_have_text(
            title, timeout=WAIT
        )
        self._shots += 1
        self.page.screenshot(
            path=self.pictures / f"{self.name}-{self._shots:02}.png", full_page=True
        )
        assert self.page.evaluate(UNLABELLED) == []
        assert self.page.evaluate(TOO_WIDE) <= 0

    def text(self):
        return self.page.locator("main").inner_text()


def test_a_company_walks_from_nothing_to_its_first_people(
    browser, product, directory, tmp_path
):
    north = Visitor(browser, product, tmp_path, "north")
    north.sees("Everybody you work with, in one place")
    north.sign_up("North Harbour <Ltd>", "ada@north.example", NORTH)
    north.sees("People")
    assert "Nobody is here yet" in north.text()
    page = north.page

    page.locator("main").get_by_role("link", name="Connect your company").click()
    north.sees("Where are your people?")
    page.get_by_role("button", name="Directory (LDAP)").click()
    north.sees("Directory (LDAP)")

    page.get_by_label("URLs").fill("ldap:/nowhere")
    page.get_by_label("Bind DN").fill(SYNC)
    page.get_by_label("Password").fill("not the password")
    page.get_by_text("More settings").click()
    page.get_by_label("Starttls").select_option("off")
    page.get_by_label("Insecure cleartext").check()
    north.press("Save and check")
    north.sees("Directory (LDAP)")
    assert "Urls are ldaps://host[:port]" in north.text()
    page.get_by_label("URLs").fill(directory.url)
    north.press("Save and check")

    north.sees("We could not get in")
    assert "password" in north.text()
    assert "not the password" not in page.content()
    north.follow("Back to the settings")
    assert page.get_by_label("Password").input_value() == ""
    page.get_by_label("Password").fill(PASSWORDS[SYNC])
    north.press("Save and check")
    north.sees("Connected")
    assert "OpenLDAP" in north.text()

    north.follow("Look what is there")
    north.sees("Which of these are your people?")
    page.get_by_role("radio", name="people").check()
    north.press("These are our people")
    north.sees("Which field is what?")
    assert page.get_by_label("Login").input_value() == "uid"
    page.get_by_label("Given name").select_option("")
    north.press("Show with these fields")
    page.get_by_label("Given name").select_option("givenName")
    north.press("Show with these fields")
    north.sees("Which field is what?")
    assert north.text().count("In your system") == 3
    assert "@north.example" in north.text()

    north.press("This is right: make a plan")
    north.sees("This is what would happen")
    assert re.search(r"18\s+join", north.text())
    assert "This plan is the first one" in north.text()
    page.get_by_label("To agree, type the number").fill("17")
    north.press("Carry it out")
    north.sees("This is what would happen")
    assert "Type the number 18" in north.text()
    page.get_by_label("To agree, type the number").fill("18")
    north.press("Carry it out")
    north.sees("Done")
    assert "18 people are on Commons now" in north.text()

    north.follow("See your people")
    north.sees("People")
    assert page.get_by_role("listitem").count() == 18
    assert "<script>alert(1)</script>" in north.text()
    page.get_by_label("Search people").fill("chiara")
    north.press("Search")
    expect(page.get_by_role("listitem")).to_have_count(3)
    assert north.complaints == []

    south = Visitor(browser, product, tmp_path, "south", width=400)
    _another_company_has_its_own(south, product)
    assert south.complaints == []
    _nothing_secret_was_written(product)


def _another_company_has_its_own(south, product):
    """On a telephone, with another adapter; nothing of the first company is there."""
    south.sees("Everybody you work with, in one place")
    south.sign_up("South Yard", "bo@south.example", SOUTH)
    south.sees("People")
    assert "Nobody is here yet" in south.text()
    page = south.page
    south.follow("Connect your company")
    page.get_by_role("button", name="Database (SQL)").click()
    south.sees("Database (SQL)")
    page.get_by_label("URL").fill("sqlite:///../data/commons.db")
    south.press("Save and check")
    south.sees("Database (SQL)")
    assert "Must be the address of a server" in south.text()
    page.get_by_label("URL").fill("sqlite:///staff.db")
    south.press("Save and check")
    south.sees("Connected")
    south.follow("Look what is there")
    south.sees("Which of these are your people?")
    south.press("These are our people")
    south.sees("Which field is what?")
    assert "9021" not in page.content(), "what is not mapped is not read"
    south.press("This is right: make a plan")
    south.sees("This is what would happen")
    page.get_by_label("To agree, type the number").fill("30")
    south.press("Carry it out")
    south.sees("Done")
    south.follow("See your people")
    south.sees("People")
    assert page.get_by_role("listitem").count() == 30
    assert "north" not in page.content()
    _a_big_change_takes_a_colleague(south, product)


def _a_big_change_takes_a_colleague(south, product):
    """Many people fewer than before: one makes the plan, another agrees and says why."""
    remove_staff(product.practice / "staff.db", 12)
    page = south.page
    page.goto(f"{product.url}/connect/plan")
    south.press("Look for changes")
    south.sees("This is what would happen")
    assert "waits for a second person" in south.text()
    south.follow("Colleagues")
    south.sees("Colleagues")
    page.get_by_label("E-mail address").fill("eve@south.example")
    page.get_by_label("Password to begin with").fill(SOUTH)
    south.press("Let in")
    south.press("Sign out")
    page.get_by_label("E-mail address").last.fill("eve@south.example")
    page.get_by_label("Password").last.fill(SOUTH)
    south.press("Sign in")
    page.goto(f"{product.url}/connect/plan")
    south.sees("This is what would happen")
    page.get_by_label("Why is it right?").fill("We sold a yard")
    south.press("Approve and carry it out")
    south.sees("Done")
    assert "12 changes were carried out" in south.text()
    assert "eve@south.example agreed to it as a second person" in south.text()


def _nothing_secret_was_written(product):
    """A secret lies in a file of its own that only the product reads, nowhere else."""
    secret = PASSWORDS[SYNC].encode()
    holders = [
        file
        for file in (*product.data.rglob("*"), product.log)
        if file.is_file() and secret in file.read_bytes()
    ]
    assert [file.parent.name for file in holders] == ["secrets"]
    assert holders[0].stat().st_mode & 0o077 == 0
