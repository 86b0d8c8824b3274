import { ApiError, credentials } from "./api.js";

/** Steps that are kept, the newest. */
const KEPT = 300;
/** Time between two pictures, ms: steps may come by the hundred. */
const DRAW_MS = 250;

/** What is seen of somebody or something as it happens. */
export class Follow {
  begun = false;
  running = false;
  state;
  steps = [];
  dropped = 0;
  problem = "";
  #asked;
  #changed;
  #ended = new AbortController();
  #count = 0;
  #drawing = 0;

  constructor(asked, changed) {
    this.#asked = asked;
    this.#changed = changed;
  }

  /** Whether messages were asked for. */
  get wanted() {
    return this.#asked.has("payloads");
  }

  async follow() {
    this.begun = true;
    this.running = true;
    try {
      const response = await fetch(`api/trace?${this.#asked}`, {
        headers: credentials(),
        signal: this.#ended.signal,
      });
      if (!response.ok) throw new ApiError(response.status, 0, (await response.json()).error.message);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const events = (rest + part.value).split("\n\n");
        rest = events.pop();
        for (const event of events) this.#take(event);
      }
      this.problem = "The instance has ended the trace.";
    } catch (error) {
      if (!this.#ended.signal.aborted)
        this.problem =
          error instanceof ApiError ? `${error.message}.` : "The connection to this instance broke.";
    }
    this.running = false;
    this.#draw();
  }

  end() {
    this.#ended.abort();
  }

  #take(event) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
    if (name === "state") this.state = JSON.parse(data);
    else if (name === "dropped") this.dropped += JSON.parse(data).dropped;
    else if (name === "step")
      this.steps = [{ ...JSON.parse(data), number: ++this.#count }, ...this.steps].slice(0, KEPT);
    this.#draw();
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = setTimeout(() => {
      this.#drawing = 0;
      this.#changed();
    }, DRAW_MS);
  }
}
