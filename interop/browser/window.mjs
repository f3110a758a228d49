// A person at a browser: what they do, what their console says of it, and what it
// looks like.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const shots = fileURLToPath(new URL("shots/", import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const limit = 30_000; // ms for what is waited for, on a busy machine

/** How a page is looked at: name → what Chromium is told. */
const looks = {
  "wide-light": { width: 1280, height: 900, scheme: "light" },
  "wide-dark": { width: 1280, height: 900, scheme: "dark" },
  "phone-light": { width: 360, height: 740, scheme: "light" },
  "phone-dark": { width: 360, height: 740, scheme: "dark" },
  narrowest: { width: 320, height: 640, scheme: "light" },
};

/** Starts Chromium. */
export async function chromium() {
  mkdirSync(shots, { recursive: true });
  return puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en-GB", "--force-prefers-reduced-motion"],
    env: { ...process.env, TZ: "America/New_York" }, // not the zone of the events
  });
}

/** A person with cookies of their own. */
export class Person {
  complaints = [];
  looked = 0; // screenshots

  static async at(browser, home) {
    const person = new Person();
    person.home = home;
    person.context = await browser.createBrowserContext();
    await person.context.overridePermissions(home, ["clipboard-read", "clipboard-write"]);
    person.page = await person.context.newPage();
    person.page.setDefaultTimeout(limit);
    await person.look("wide-light");
    const complain = (what) => person.complaints.push(`${person.page.url()}: ${what}`);
    person.page.on("pageerror", (error) => complain(`uncaught: ${error.message}`));
    person.page.on("console", (message) => {
      // A form that comes back with an error is no error of the page's.
      if (/status of 4\d\d/.test(message.text()) && message.location().url === person.page.url()) return;
      if (["error", "warn"].includes(message.type())) complain(`${message.type()}: ${message.text()}`);
    });
    person.page.on("response", (answer) => {
      if (answer.status() >= 500) complain(`${answer.status()} from ${answer.url()}`);
    });
    await person.page.evaluateOnNewDocument(() => {
      document.addEventListener("securitypolicyviolation", (e) =>
        console.error(`refused by the Content-Security-Policy: ${e.violatedDirective} ${e.blockedURI}`),
      );
    });
    return person;
  }

  async look(name) {
    const { width, height, scheme } = looks[name];
    await this.page.setViewport({ width, height, deviceScaleFactor: 1 });
    await this.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  }

  async go(path) {
    const answer = await this.page.goto(new URL(path, this.home).href, { waitUntil: "load" });
    return answer;
  }

  /** Waits for an element that can be seen. */
  see(selector, options) {
    return this.page.waitForSelector(selector, { visible: true, ...options });
  }

  /** Waits until a text is to be read somewhere below a selector. */
  async read(text, selector = "main") {
    await this.page.waitForFunction(
      (selector, text) => [...document.querySelectorAll(selector)].some((e) => e.innerText.includes(text)),
      {},
      selector,
      text,
    );
  }

  async text(selector) {
    const element = await this.see(selector);
    return element.evaluate((e) => e.innerText);
  }

  async click(selector) {
    const element = await this.see(selector);
    await element.evaluate((e) => e.scrollIntoView({ block: "center" }));
    await element.click();
  }

  /** Clicks, and waits for the page that comes. */
  async follow(selector) {
    await Promise.all([this.page.waitForNavigation({ waitUntil: "load" }), this.click(selector)]);
  }

  /** Puts a value where one is, as somebody who types. */
  async write(selector, value) {
    const element = await this.see(selector);
    const typed = await element.evaluate((e, value) => {
      // How these are typed into depends on the language; what is long is pasted.
      if (!["date", "time", "datetime-local"].includes(e.type) && e.tagName !== "SELECT" && value.length < 500) return false;
      e.value = value;
      e.dispatchEvent(new Event("input", { bubbles: true }));
      e.dispatchEvent(new Event("change", { bubbles: true }));
      return true;
    }, value);
    if (typed) return;
    await element.evaluate((e) => e.select());
    await element.press("Backspace");
    await element.type(value);
  }

  /** Fills a form: selector → value. */
  async fill(values) {
    for (const [selector, value] of Object.entries(values)) await this.write(selector, value);
  }

  /**
   * Looks at the page in every way, keeps pictures, and finds what is wrong with it.
   * whole: all of the page, from its beginning; else what is in the window.
   */
  async examine(name, { whole = true } = {}) {
    const found = [];
    for (const look of Object.keys(looks)) {
      await this.look(look);
      await this.page.evaluate((whole) => {
        if (whole) scrollTo(0, 0); // what sticks is where it is at first
        else document.querySelector("#chat").scrollIntoView({ block: "end" });
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      }, whole);
      const wider = await this.page.evaluate(() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth);
      if (wider > 0) found.push(`${look}: ${wider} px wider than the window`);
      await this.page.screenshot({ path: `${shots}${name}.${look}.png`, fullPage: whole });
      this.looked++;
      if (look !== "narrowest") found.push(...(await this.#accessible()).map((v) => `${look}: ${v}`));
    }
    await this.look("wide-light");
    assert.deepEqual(found, [], name);
  }

  async #accessible() {
    await this.page.evaluate(axe); // through the debugger, which no policy is asked about
    const { violations } = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return violations
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
  }

  /** Nothing was complained of. */
  calm() {
    assert.deepEqual(this.complaints, []);
  }
}
