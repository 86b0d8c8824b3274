import { pusherChannel } from "../../src/pusher/apps.ts";
import { webhookLine } from "../../src/pusher/webhook-target.ts";
import type { TestGateway } from "../gateway/fixture.ts";
import { usersToldTo } from "./actors.ts";
import { CHANNELS, ROOM, type Run } from "./world.ts";

/** Everything that does not agree with what is there, now that nothing happens any more. */
export async function wrongsOf(run: Run): Promise<string[]> {
  const room = pusherChannel(run.gateways[0]!.pusherApp, ROOM);
  const wrongs = [...clientsAgree(run), ...limitsHold(run, room)];
  for (const channel of [...CHANNELS, room]) {
    wrongs.push(...(await presenceAgrees(run, channel)), ...eventsAgree(run, channel));
  }
  for (const channel of CHANNELS) wrongs.push(...pushesAgree(run, channel));
  wrongs.push(
    ...(await connectionsAgree(run)),
    ...listsAgree(run, room),
    ...(await webhooksAgree(run, room)),
  );
  return wrongs;
}

/** Subscribers of a channel, on all instances: by client, the user. */
function subscribers(run: Run, channel: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const { gateway } of run.gateways) {
    for (const session of gateway.context.hub.sessions.values()) {
      const sub = session.subs.get(channel);
      if (sub) found.set(session.client, sub.user ?? session.user);
    }
  }
  return found;
}

const show = (names: Iterable<string>) => [...names].sort().join(",");

function differs(what: string, is: Iterable<string>, wanted: Iterable<string>): string[] {
  return show(is) === show(wanted) ? [] : [`${what}: [${show(is)}], not [${show(wanted)}]`];
}

/** What clients were told they are subscribed to is what the gateways hold. */
function clientsAgree({ actors, gateways }: Run): string[] {
  return actors.flatMap((actor, at) => {
    if (actor.gone || actor.id === undefined) return [];
    const holding = gateways.find(({ gateway }) => gateway.context.hub.sessions.has(actor.id!));
    const subs = holding?.gateway.context.hub.sessions.get(actor.id)?.subs.values() ?? [];
    const held = subs.map(({ channel }) => channel.id).filter((id) => CHANNELS.includes(id as never));
    return differs(`client ${at} is subscribed to`, actor.subscriptions, held);
  });
}

function limitsHold(run: Run, room: string): string[] {
  const { connectionsPerUser, newestWins } = run.limits;
  const most = newestWins === "user" ? 1 : connectionsPerUser || Number.POSITIVE_INFINITY;
  const counts = Map.groupBy(
    run.actors.filter(({ gone }) => !gone),
    ({ user }) => user,
  );
  const wrongs = [...counts].flatMap(([user, all]) =>
    all.length > most ? [`${user} has ${all.length} connections`] : [],
  );
  const users = new Set(subscribers(run, room).values());
  const { presenceMembers } = run.gateways[0]!.pusherApp.limits;
  if (users.size > presenceMembers) wrongs.push(`${ROOM} has the members ${show(users)}`);
  return wrongs;
}

async function presenceAgrees(run: Run, channel: string): Promise<string[]> {
  const wanted = subscribers(run, channel);
  const wrongs: string[] = [];
  for (const { presence } of run.gateways) {
    const { members } = await presence.port.members(channel, 1_000);
    const { clients, users } = await presence.port.stats(channel);
    wrongs.push(
      ...differs(
        `members of ${channel}`,
        members.map(({ client, user }) => `${client}=${user}`),
        [...wanted].map(([client, user]) => `${client}=${user}`),
      ),
    );
    if (clients !== wanted.size || users !== new Set(wanted.values()).size) {
      wrongs.push(`${channel} counts ${clients} clients and ${users} users`);
    }
  }
  return wrongs;
}

async function connectionsAgree({ gateways, actors }: Run): Promise<string[]> {
  const wrongs: string[] = [];
  for (const user of new Set(actors.map((actor) => actor.user))) {
    const living = actors.flatMap((actor) => (!actor.gone && actor.user === user ? (actor.id ?? "?") : []));
    for (const { presence } of gateways) {
      const { connections } = await presence.port.connectionsOf(user);
      wrongs.push(
        ...differs(
          `connections of ${user}`,
          connections.map(({ client }) => client),
          living,
        ),
      );
    }
  }
  return wrongs;
}

/** Whoever watches from the start was told last what is so. */
function pushesAgree(run: Run, channel: string): string[] {
  if (run.breaks) return [];
  const wanted = subscribers(run, channel);
  return run.watchers.flatMap((watcher, at) => {
    const told = [...watcher.lastWords(channel)].filter(([, word]) => word === "join");
    return differs(
      `watcher ${at} of ${channel} sees`,
      told.map(([client]) => client).filter((client) => !isWatcher(run, client)),
      [...wanted.keys()].filter((client) => !isWatcher(run, client)),
    );
  });
}

function isWatcher({ watchers }: Run, client: string): boolean {
  return watchers.some(({ id }) => id === client);
}

/** Comings and goings told to the business cluster add up to what is there. */
function eventsAgree(run: Run, channel: string): string[] {
  const present = subscribers(run, channel);
  const balance = new Map<string, number>();
  let occupied = 0;
  for (const { kind, event } of run.gateways[0]!.world.bus.events) {
    if (event.channel !== channel) continue;
    const user = event.user as string;
    if (kind === "join" || kind === "leave")
      balance.set(user, (balance.get(user) ?? 0) + (kind === "join" ? 1 : -1));
    if (kind === "occupied") occupied++;
    if (kind === "vacated") occupied--;
  }
  const users = new Set(present.values());
  const wrongs = [...balance].flatMap(([user, count]) =>
    count === (users.has(user) ? 1 : 0) ? [] : [`events of ${user} in ${channel} add up to ${count}`],
  );
  for (const user of users) if (!balance.has(user)) wrongs.push(`no event tells of ${user} in ${channel}`);
  if (occupied !== (present.size > 0 ? 1 : 0)) wrongs.push(`${channel} was occupied ${occupied} times`);
  return wrongs;
}

/** Lists of users of every instance, and of every client that is there. */
function listsAgree(run: Run, room: string): string[] {
  const wanted = new Set(subscribers(run, room).values());
  const ofInstances = run.gateways.flatMap(({ gateway, pusherUsers }, at) => {
    const channel = gateway.context.hub.channels.get(room);
    const list = channel && pusherUsers.known(channel);
    return list?.ready ? differs(`the list of instance ${at}`, list.users.keys(), wanted) : [];
  });
  const ofClients = run.pushers.flatMap((actor, at) => {
    if (actor.client.socket.closed) return [];
    const told = usersToldTo(actor, ROOM);
    const isThere = subscribers(run, room).has(actor.client.id);
    if (isThere !== (told !== undefined))
      return [`member ${at} is there: ${isThere}, and was told otherwise`];
    return told ? differs(`the list of member ${at}`, told, wanted) : [];
  });
  return [...ofInstances, ...ofClients];
}

async function webhooksAgree(run: Run, room: string): Promise<string[]> {
  const [{ outbox, pusherApp }] = run.gateways as [TestGateway];
  const present = new Set(subscribers(run, room).values());
  const balance = new Map<string, number>();
  const items = (await outbox?.read(webhookLine(pusherApp, pusherApp.webhooks[0]!), 10_000)) ?? [];
  for (const { text } of items) {
    const { event } = JSON.parse(text) as { event: { name: string; user_id?: string } };
    const sign = { member_added: 1, channel_occupied: 1, member_removed: -1, channel_vacated: -1 }[
      event.name
    ];
    const of = event.user_id ?? "";
    if (sign !== undefined) balance.set(of, (balance.get(of) ?? 0) + sign);
  }
  const wanted = new Map([...present].map((user) => [user, 1]));
  if (present.size > 0) wanted.set("", 1);
  const told = [...balance].filter(([, count]) => count !== 0);
  return differs(
    "webhooks add up to",
    told.map(([of, count]) => `${of}:${count}`),
    [...wanted].map(([of, count]) => `${of}:${count}`),
  );
}
