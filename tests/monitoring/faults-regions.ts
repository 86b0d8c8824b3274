import { connect, DiscardPolicy } from "nats";
import type { World } from "../../src/world/world.ts";
import { AWAY, HOME, once, type WorldFault } from "./victim.ts";

/** Makes the copy of a region hold a hundred messages and refuse more, and stores 5,000 at home. */
async function fillCopy(world: World): Promise<void> {
  const nc = await connect({ servers: world.region(HOME).nats.url });
  const jsm = await nc.jetstreamManager();
  const copy = `RT_chat_${AWAY}`;
  const { config } = await jsm.streams.info(copy);
  await jsm.streams.update(copy, { ...config, discard: DiscardPolicy.New, max_msgs: 100 });
  for (let n = 0; n < 5_000; n++) nc.publish(`rt.chat.room-${n % 100}`, "{}");
  await nc.flush();
  await nc.close();
}

/** Faults between regions. */
export const FAULTS_OF_REGIONS: readonly WorldFault[] = [
  {
    alert: "TrunklineHomeAway",
    what: "the NATS server of the streams' home is killed",
    makeInWorld: once((world) => world.region(HOME).nats.kill()),
  },
  {
    alert: "TrunklineCopiesLate",
    what: "a copy in another region is full, and made to refuse what is new",
    makeInWorld: once(fillCopy),
  },
];
