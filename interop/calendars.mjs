// A Host's events in calendars, as ical.js, which Thunderbird's is made of, reads them.

import assert from "node:assert/strict";
import ICAL from "ical.js";

/** Reads a calendar at a URL, with the time zones that are in it and no others. */
async function read(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url);
  assert.match(answer.headers.get("content-type"), /^text\/calendar/);
  const calendar = new ICAL.Component(ICAL.parse(await answer.text()));
  ICAL.TimezoneService.reset();
  for (const zone of calendar.getAllSubcomponents("vtimezone")) ICAL.TimezoneService.register(zone);
  return { method: calendar.getFirstPropertyValue("method"), events: calendar.getAllSubcomponents("vevent").map((e) => new ICAL.Event(e)) };
}

const same = (time, at) => assert.equal(time.toJSDate().valueOf(), new Date(at).valueOf(), `${time} and ${at}`);

/** Wants an entry to be the event as the API tells it. */
function agree(entry, event) {
  same(entry.startDate, event.starts_at);
  same(entry.endDate, event.ends_at);
  assert.equal(entry.summary, event.title);
  assert.equal(entry.location, event.location);
  assert.ok(entry.description.startsWith(event.description), entry.description);
}

/** Has an event pass a change of the clock, be edited and cancelled. */
export async function calendars(host) {
  const year = new Date().getUTCFullYear() + 2;
  const created = await host.create({
    title: "Jazz; one, two \\ <b>é🎷</b>",
    description: "Bring:\n- a cushion, and\n- patience",
    location: "Cellar, left",
    time_zone: "Europe/Berlin",
    starts_at: lastSunday(year, 3, "00:30:00+01:00"), // before the clock is put forward
    ends_at: lastSunday(year, 3, "04:00:00+02:00"), // and after
  });
  const one = `${host.page}/${created.id}.ics`;
  const feed = `${host.page}/events.ics`;
  const before = await read(one);
  assert.equal(before.method, "PUBLISH");
  assert.equal(before.events.length, 1);
  agree(before.events[0], await host.look(created.id));

  await host.tool("update_event", { event_id: created.id, title: "Jazz", starts_at: lastSunday(year, 10, "00:30:00+02:00"), ends_at: lastSunday(year, 10, "04:00:00+01:00") });
  const edited = await read(feed);
  agree(edited.events.find(({ uid }) => uid === before.events[0].uid), await host.look(created.id));
  await host.tool("cancel_event", { event_id: created.id });
  const gone = await read(one);
  const listed = await read(feed);

  const entries = [before, edited, gone, listed].map(({ events }) => events.filter(({ uid }) => uid === before.events[0].uid));
  assert.deepEqual(entries.map(({ length }) => length), [1, 1, 1, 1], "one entry through all changes");
  const sequences = entries.map(([entry]) => entry.sequence);
  assert.ok(sequences[0] < sequences[1] && sequences[1] < sequences[2] && sequences[2] === sequences[3], `SEQUENCE ${sequences}`);
  assert.equal(gone.method, "CANCEL");
  for (const [entry] of entries.slice(2)) assert.equal(entry.component.getFirstPropertyValue("status"), "CANCELLED");
  return `one entry, SEQUENCE ${sequences.join(", ")}, over both changes of the clock in ${year}`;
}

/** The time on the last Sunday of a month, which has 31 days. */
function lastSunday(year, month, time) {
  const day = 31 - new Date(Date.UTC(year, month - 1, 31)).getUTCDay();
  return `${year}-${String(month).padStart(2, "0")}-${day}T${time}`;
}
