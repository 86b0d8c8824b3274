import { child, paint } from "./messages.js";

/** Who is in the room, by connection; shown by person. */
export class People {
  #list;
  #onCount;
  #onChange;
  /** client id → user */
  #members = new Map();
  /** What came while the list was being asked for, to be applied after it. */
  #meanwhile;
  #self = "";

  /**
   * @param onCount `(people, connections)`
   * @param onChange `(user, "joined" | "left")`: somebody's first connection came, or the last one went
   */
  constructor(list, { onCount, onChange }) {
    this.#list = list;
    this.#onCount = onCount;
    this.#onChange = onChange;
  }

  /** Takes the whole list from the server. @param ask resolves with centrifuge's presence result */
  async load(self, ask) {
    this.#self = self;
    const meanwhile = [];
    this.#meanwhile = meanwhile;
    const { clients } = await ask();
    if (this.#meanwhile !== meanwhile) return; // asked again since
    this.#meanwhile = undefined;
    this.#members = new Map(Object.values(clients).map(({ client, user }) => [client, user]));
    for (const { kind, info } of meanwhile) this.#apply(kind, info);
    this.#draw();
  }

  /** One came or went, as told live. @param kind "join" | "leave" */
  apply(kind, info) {
    this.#meanwhile?.push({ kind, info });
    const before = this.#connections(info.user);
    this.#apply(kind, info);
    const after = this.#connections(info.user);
    if (info.user !== this.#self && !this.#meanwhile) {
      if (before === 0 && after > 0) this.#onChange(info.user, "joined");
      if (before > 0 && after === 0) this.#onChange(info.user, "left");
    }
    this.#draw();
  }

  clear() {
    this.#members.clear();
    this.#meanwhile = undefined;
    this.#draw();
  }

  #apply(kind, { client, user }) {
    if (kind === "join") this.#members.set(client, user);
    else this.#members.delete(client);
  }

  #connections(user) {
    let count = 0;
    for (const other of this.#members.values()) if (other === user) count++;
    return count;
  }

  #draw() {
    const byUser = new Map();
    for (const user of this.#members.values()) byUser.set(user, (byUser.get(user) ?? 0) + 1);
    const self = this.#self;
    const sorted = [...byUser].sort(([a], [b]) => (b === self) - (a === self) || a.localeCompare(b));
    const rows = sorted.map(([user, count]) => {
      const row = document.createElement("li");
      const name = user || "anonymous";
      paint(child(row, "span", "avatar", [...name][0].toUpperCase()), name);
      child(row, "span", "name", name);
      if (user === self) child(row, "span", "tag", "you");
      if (count > 1) child(row, "span", "tag", `${count} connections`);
      return row;
    });
    this.#list.replaceChildren(...rows);
    this.#onCount(byUser.size, this.#members.size);
  }
}
