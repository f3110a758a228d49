// What people do with the pages, in a real Chromium (`make browser`): an owner, a
// guest of theirs, and money that is worth nothing. Everything runs here, on
// 127.0.0.1. Screenshots are in shots/. Exits with 1 on anything that is wrong:
// what people see, what the console says, what axe finds, what breaks the layout.

import { concierge, folder, logs, start, stopAll } from "../process.mjs";
import { gate } from "./gate.mjs";
import { mailbox } from "./mail.mjs";
import { chapters } from "./story.mjs";
import { chromium, Person } from "./window.mjs";

const browser = await chromium();
const mail = await mailbox();
const closing = [() => mail.stop(), () => browser.close()];
let told = 0;
let failed = false;
try {
  console.log(`${await browser.version()}, node ${process.versions.node}\n`);
  const chain = await start(concierge, ["devnet", "--addr", "127.0.0.1:0"]);
  const facilitator = await gate(`${chain.url}/facilitator`);
  closing.unshift(() => facilitator.stop());
  const server = await start(concierge, [
    ...["serve", "--addr", "127.0.0.1:0", "--data", folder()],
    ...["--network", "devnet", "--rpc", chain.url, "--facilitator", facilitator.url],
    ...["--smtp", mail.address, "--smtp-from", "events@example.org"],
  ]);
  const world = {
    chain,
    server,
    mail,
    facilitator,
    owner: await Person.at(browser, server.url),
    guest: await Person.at(browser, server.url),
  };
  for (const [name, chapter] of chapters) {
    const began = Date.now();
    await chapter(world);
    world.owner.calm();
    world.guest.calm();
    told++;
    console.log(`ok  ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  }
  console.log(`\n${world.owner.looked + world.guest.looked} screenshots in interop/browser/shots`);
} catch (error) {
  failed = true;
  console.error(error);
  console.error(logs());
} finally {
  for (const close of closing) await close();
  await stopAll();
}
console.log(`\n${told} passed, ${failed ? 1 : 0} failed`);
process.exit(failed ? 1 : 0);
