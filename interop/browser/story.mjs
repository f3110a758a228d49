// The story, chapter by chapter. Each begins where the one before has ended.

import assert from "node:assert/strict";

const email = "ada@example.org";
const soon = new Date(Date.now() + 20 * 24 * 3600e3).toISOString().slice(0, 10);

/** What strangers type. */
const hostile = {
  title: `<script>document.title="owned"</script> مرحبا بكم في الحفل ${"Donaudampfschifffahrt".repeat(6)}`,
  description: `"><img src=x onerror=alert(1)> {{.}} ${"🎷".repeat(9500)}\n\n${"x".repeat(400)}\n\nשלום עולם`,
  location: `${"Straße".repeat(40)} <b>bold</b> ‮gnp.exe`,
};

/** Makes an event by the form and returns its id. */
async function makeEvent(owner, fields) {
  await owner.go("/my-mcp/events/new");
  await owner.fill(fields);
  await owner.follow('#event-form button[value="save"]');
  const id = /evt_[0-9a-f]+/.exec(owner.page.url());
  assert.ok(id, `no event was made: ${await owner.text("main")}`);
  return id[0];
}

const card = (kind, rest = "") => `[data-kind="${kind}"]${rest}`;

async function say(guest, text) {
  await guest.write("#say", text);
  await guest.click("#send");
}

async function register({ owner, mail }) {
  await owner.go("/my-mcp");
  await owner.see("#email"); // who is not signed in is asked to
  await owner.examine("sign-in");
  await owner.write("#email", email);
  await owner.follow('form[action="/sign-in"] button.primary');
  const code = /\b[A-Z2-7]{8}\b/.exec((await mail.next()).split("\n\n").slice(1).join("\n"));
  assert.ok(code, "no code in the mail");
  await owner.write("#code", "AAAAAAAA");
  await owner.follow('form[action="/sign-in/code"] button.primary');
  await owner.see("#code-error"); // and nothing is lost
  await owner.examine("sign-in-wrong-code");
  await owner.write("#code", code[0].toLowerCase());
  await owner.follow('form[action="/sign-in/code"] button.primary');
  assert.match(await owner.text("main"), /Your owner token/);
  assert.match(await owner.text('[aria-label="Your owner token"]'), /^ec_/);
  await owner.follow("a.button.primary");
  await owner.examine("my-mcp-empty");
  await owner.click('form[action="/my-mcp/test"] button');
  await owner.read("MCP 20", "#test-results");
}

async function createEvents(world) {
  const { owner } = world;
  await owner.go("/my-mcp/events/new");
  await owner.write("#title", "Jazz night");
  await owner.read("Title", "#preview, #event-form");
  await owner.follow('#event-form button[value="save"]'); // the date is missing
  await owner.see('[aria-invalid="true"]');
  assert.equal(await owner.page.$eval("#title", (e) => e.value), "Jazz night", "what was typed is lost");
  await owner.examine("event-form-errors");
  const place = { "#location": "Blue Room, Oranienstraße 1, Berlin", "#time_zone": "Europe/Berlin" };
  const evening = { "#starts_date": soon, "#starts_time": "20:00", "#ends_time": "23:00", ...place };
  world.jazz = await makeEvent(owner, { "#title": "Jazz night", ...evening, "#price": "0.05", "#capacity": "10", "#description": "Two sets.\n\nDoors at seven." });
  await owner.examine("my-event-empty");
  world.opera = await makeEvent(owner, { "#title": "Opera gala", ...evening, "#price": "2.50", "#capacity": "40" });
  world.walk = await makeEvent(owner, { "#title": "City walk", ...evening, "#capacity": "5" });
  world.hostile = await makeEvent(owner, { ...evening, "#title": hostile.title, "#description": hostile.description, "#location": hostile.location });
  await owner.go("/my-mcp/events");
  await owner.examine("my-events");
  await owner.go("/my-mcp");
  await owner.examine("my-mcp");
  world.user = /users\/([a-z2-7]{26})/.exec(await owner.text("main"))[1];
}

async function publicPages({ guest, user, jazz, hostile: id }) {
  await guest.go("/");
  await guest.read("Jazz night");
  await guest.examine("home");
  await guest.go(`/u/${user}`);
  await guest.examine("public-host");
  await guest.go(`/u/${user}/${jazz}`);
  assert.match(await guest.text("time.when"), /20:00 – 23:00 CET[\s\S]*your time/);
  await guest.examine("public-event");
  await guest.go(`/u/${user}/${id}`);
  assert.equal(await guest.text("h1"), hostile.title);
  assert.notEqual(await guest.page.title(), "owned");
  await guest.examine("public-event-hostile");
  const linked = await guest.page.$eval('script[type="application/ld+json"]', (e) => JSON.parse(e.textContent));
  assert.equal(linked.name, hostile.title);
  await guest.go(`/u/${user}/evt_00000000000000000000`);
  await guest.examine("not-found");
  await guest.go("/design");
  await guest.examine("design");
}

async function bookForFree(world) {
  const { guest, user, walk } = world;
  await guest.go(`/u/${user}/${walk}`);
  await guest.fill({ "#book-name": "Grace <i>Hopper</i>", "#book-email": "grace@example.org", "#book-seats": "2" });
  await guest.follow("#book button");
  await guest.see("svg.qr");
  world.ticket = guest.page.url();
  await guest.examine("ticket");
}

async function refuseOne({ guest, user, server }) {
  await guest.go("/");
  await guest.see("#composer");
  await say(guest, `${server.url}/mcp/users/${user}`);
  await guest.see(card("event"));
  await guest.read("Opera gala", "#log");
  await guest.examine("chat-events", { whole: false });
  await say(guest, "book opera");
  await guest.see(card("approval"));
  const question = await guest.text(card("approval"));
  assert.match(question, /2\.50/);
  assert.match(question, /Opera gala/);
  assert.match(question, /0x[0-9a-fA-F]{40}|0x[0-9a-fA-F]+…/);
  await guest.examine("chat-approval", { whole: false });
  await guest.click(card("approval", ' [data-action="deny"]'));
  await guest.page.waitForSelector(card("approval", '[data-state="denied"]'));
}

async function payOther(world) {
  const { guest, facilitator } = world;
  await say(guest, "book 2 seats for jazz");
  await guest.page.waitForFunction(() => document.querySelectorAll('[data-kind="approval"][data-state="asked"]').length === 1);
  assert.match(await guest.text(card("approval", '[data-state="asked"]')), /0\.10/);
  const settling = facilitator.close(); // settlements wait from now on
  await guest.click(card("approval", '[data-state="asked"] [data-action="approve"]'));
  await settling;
  await guest.page.reload({ waitUntil: "load" }); // in the middle of it
  await guest.see(card("approval", '[data-state="used"], [data-kind="approval"][data-state="approved"]'));
  await guest.examine("chat-settling", { whole: false });
  facilitator.open();
  await guest.see(card("receipt", '[data-status="confirmed"]'));
  const receipt = await guest.text(card("receipt", '[data-status="confirmed"]'));
  assert.match(receipt, /0\.10/);
  assert.match(receipt, /Jazz night/);
  await guest.see(card("receipt", " svg.qr"));
  await guest.examine("chat-receipt", { whole: false });
  world.paidTicket = await guest.page.$eval(card("receipt", ' a[data-action="ticket"]'), (a) => a.href);
  assert.equal((await guest.page.$$(card("receipt"))).length, 1, "one receipt");
}

async function developerPanel({ guest }) {
  await guest.click("#trace > summary");
  await say(guest, "details of 1");
  await guest.see("#trace-list li");
  await guest.click("#trace-list li:last-child summary");
  await guest.read("tools/call", "#trace-list");
  await guest.examine("chat-trace");
  for (const action of ["trace-export", "export-chat"]) {
    const client = await guest.page.createCDPSession();
    await guest.page.evaluate(() => {
      window.saved = new Promise((done) => {
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => {
          blob.text().then(done);
          URL.createObjectURL = make;
          return make.call(URL, blob);
        };
      });
    });
    await guest.click(`[data-action="${action}"]`);
    const file = await guest.page.evaluate(() => window.saved);
    if (action === "trace-export") JSON.parse(file);
    else assert.match(file, /Jazz night/);
    assert.doesNotMatch(file, /"signature": *"0x/);
    await client.detach();
  }
}

async function ownerSees(world) {
  const { owner, jazz, paidTicket } = world;
  await owner.go("/my-mcp/revenue");
  await owner.read("$0.10", "#sums");
  await owner.examine("revenue");
  await owner.go(`/my-mcp/events/${jazz}`);
  await owner.examine("my-event");
  await owner.go(paidTicket); // as the camera of a phone does
  await owner.examine("ticket-owner");
  await owner.follow('form[action$="/check-in"] button');
  await owner.read("checked in");
  await owner.go("/my-mcp/check-in");
  await owner.write("#ticket", paidTicket);
  await owner.click("#door button.primary");
  await owner.read("Checked in at", "#result"); // before
  await owner.examine("check-in");
  await owner.go(`/my-mcp/events/${jazz}`);
}

async function cancelAndRefund(world) {
  const { owner, guest, jazz, paidTicket } = world;
  const watching = await owner.context.newPage(); // another tab, which is not touched
  await watching.goto(new URL("/my-mcp/revenue", owner.home).href);
  await owner.page.bringToFront();
  await owner.go(`/my-mcp/events/${jazz}?ask=cancel`);
  await owner.examine("cancel-event");
  await owner.follow("#cancel button.danger");
  await owner.read("cancelled", "#facts");
  await watching.bringToFront();
  const refunded = () => [...document.querySelectorAll("#sums .figure")].some((f) => /^\$0\.10\s+Refunded/.test(f.innerText) || /^Refunded[^$]*\$0\.10$/.test(f.innerText));
  await watching.waitForFunction(refunded, { timeout: 120_000, polling: 500 });
  await watching.close();
  await owner.page.bringToFront();
  await guest.go(paidTicket);
  await guest.read("is back");
  await guest.examine("ticket-refunded");
  await owner.go("/my-mcp/revenue");
  await owner.examine("revenue-refunded");
}

async function rest({ owner }) {
  for (const page of ["tokens", "wallet"]) {
    await owner.go(`/my-mcp/${page}`);
    await owner.examine(`my-${page}`);
  }
  await owner.go("/my-mcp");
  await owner.follow('form[action="/sign-out"] button');
  await owner.go("/my-mcp/tokens");
  await owner.see("#email");
}

/** What the first page costs, and that it can be read without scripts. */
async function small({ guest, server }) {
  const client = await guest.page.createCDPSession();
  await client.send("Network.enable");
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  let bytes = 0;
  client.on("Network.loadingFinished", (e) => (bytes += e.encodedDataLength));
  await guest.page.goto(`${server.url}/`, { waitUntil: "networkidle0" });
  await client.detach();
  assert.ok(bytes < 60_000, `the first page took ${bytes} bytes`);
  console.log(`    the first page with all that it loads: ${bytes} bytes`);
  await guest.page.setJavaScriptEnabled(false);
  await guest.go("/");
  await guest.read("Opera gala");
  await guest.page.setJavaScriptEnabled(true);
}

export const chapters = [
  ["register by a code", register],
  ["create events", createEvents],
  ["what everybody sees", publicPages],
  ["book a free event without an agent", bookForFree],
  ["refuse a payment", refuseOne],
  ["approve another, and reload while it settles", payOther],
  ["look at the wire", developerPanel],
  ["the owner sees the money, and checks the guest in", ownerSees],
  ["cancel the event, and see the refund", cancelAndRefund],
  ["tokens, wallet, signing out", rest],
  ["the first page is small, and needs no scripts", small],
];
