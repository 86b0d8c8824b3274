import { unreachable } from "../core/unreachable.ts";

/**
 * Regular expressions that cannot be made slow. JavaScript's own engine backtracks, so that a pattern such as `(a+)+b`
 * takes exponential time; this one follows all alternatives at once (Thompson's construction) and needs at most
 * (length of the text) × (size of the pattern) steps, whatever the pattern.
 */

/** Longest pattern in UTF-16 units. */
export const MAX_PATTERN_LENGTH = 256;

/** Largest compiled pattern in instructions: what bounded repetition (`{1,99}`) may unfold to. */
const MAX_INSTRUCTIONS = 1_000;

/** Deepest nesting of groups. */
const MAX_DEPTH = 16;

/** Whether a code point is one of those meant. */
type Test = (code: number) => boolean;

/** Consumes one code point, or forks, or ends. `to`/`or` are instruction numbers. */
type Instruction =
  | { readonly op: "char"; readonly accepts: Test }
  | { readonly op: "fork"; to: number; or: number }
  | { readonly op: "end" };

type Node =
  | { readonly kind: "char"; readonly accepts: Test }
  | { readonly kind: "all"; readonly parts: readonly Node[] }
  | { readonly kind: "any"; readonly branches: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly min: number; readonly max: number };

/**
 * Compiles a pattern into a test of whole texts (it is always anchored; a leading `^` and a trailing `$` are allowed
 * and change nothing). Understood: literals, `.` (any character), `\d \w \s \D \W \S` (ASCII), escaped punctuation,
 * `[a-z]` and `[^a-z]`, `( )`, `(?: )`, `|`, `* + ?`, `{n} {n,} {n,m}`. Everything else (back references, look-around,
 * lazy quantifiers, named groups, flags) is refused.
 *
 * The test function keeps scratch space of its own and is not reentrant, which a synchronous function never needs.
 *
 * @throws SyntaxError when the pattern is too long, too big, or not of this subset
 */
export function compilePattern(pattern: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN_LENGTH) throw new SyntaxError("pattern is too long");
  const program: Instruction[] = [];
  emit(parse(pattern), program);
  push(program, { op: "end" });
  return matcher(program);
}

function matcher(program: readonly Instruction[]): (text: string) => boolean {
  const end = program.length - 1;
  // Step at which an instruction was last entered: keeps each list free of duplicates and ends empty loops.
  const entered = new Uint32Array(program.length);
  let current: number[] = [];
  let next: number[] = [];
  let step = 0;

  const enter = (list: number[], at: number): void => {
    const pending = [at];
    for (let pc = pending.pop(); pc !== undefined; pc = pending.pop()) {
      if (entered[pc] === step) continue;
      entered[pc] = step;
      const instruction = program[pc]!;
      if (instruction.op === "fork") pending.push(instruction.or, instruction.to);
      else list.push(pc);
    }
  };

  return (text) => {
    entered.fill(0);
    current.length = 0;
    step = 1;
    enter(current, 0);
    for (const char of text) {
      const code = char.codePointAt(0)!;
      step++;
      next.length = 0;
      for (const pc of current) {
        const instruction = program[pc]!;
        if (instruction.op === "char" && instruction.accepts(code)) enter(next, pc + 1);
      }
      if (next.length === 0) return false;
      [current, next] = [next, current];
    }
    return entered[end] === step;
  };
}

function push(program: Instruction[], instruction: Instruction): number {
  if (program.length >= MAX_INSTRUCTIONS) throw new SyntaxError("pattern is too big");
  return program.push(instruction) - 1;
}

function emit(node: Node, program: Instruction[]): void {
  switch (node.kind) {
    case "char":
      push(program, { op: "char", accepts: node.accepts });
      return;
    case "all":
      for (const part of node.parts) emit(part, program);
      return;
    case "any":
      emitBranches(node.branches, program);
      return;
    case "repeat":
      emitRepeat(node.node, node.min, node.max, program);
      return;
    default:
      unreachable(node);
  }
}

function emitBranches(branches: readonly Node[], program: Instruction[]): void {
  const exits: Extract<Instruction, { op: "fork" }>[] = [];
  for (const branch of branches.slice(0, -1)) {
    const fork = { op: "fork" as const, to: 0, or: 0 };
    fork.to = push(program, fork) + 1;
    emit(branch, program);
    const exit = { op: "fork" as const, to: 0, or: 0 };
    push(program, exit);
    exits.push(exit);
    fork.or = program.length;
  }
  emit(branches.at(-1)!, program);
  for (const exit of exits) exit.to = exit.or = program.length;
}

function emitRepeat(node: Node, min: number, max: number, program: Instruction[]): void {
  for (let i = 0; i < min; i++) {
    const before = program.length;
    emit(node, program);
    if (program.length === before) break; // `(){999}`: nothing, however often; nested, it would take for ever
  }
  if (max === Number.POSITIVE_INFINITY) {
    const fork = { op: "fork" as const, to: 0, or: 0 };
    const start = push(program, fork);
    emit(node, program);
    push(program, { op: "fork", to: start, or: start });
    fork.to = start + 1;
    fork.or = program.length;
    return;
  }
  const optional: Extract<Instruction, { op: "fork" }>[] = [];
  for (let i = min; i < max; i++) {
    const fork = { op: "fork" as const, to: 0, or: 0 };
    fork.to = push(program, fork) + 1;
    optional.push(fork);
    emit(node, program);
  }
  for (const fork of optional) fork.or = program.length;
}

function parse(pattern: string): Node {
  return new PatternParser(pattern).parse();
}

/** Reads a pattern by recursive descent: alternatives of sequences of repeated atoms. Used once. */
class PatternParser {
  /** Code points, so that a character outside the basic plane is one character. */
  readonly #chars: readonly string[];
  readonly #end: number;
  #at: number;

  constructor(pattern: string) {
    const chars = [...pattern];
    this.#at = chars[0] === "^" ? 1 : 0;
    const anchored = chars.length > this.#at && chars.at(-1) === "$" && !isEscaped(chars, chars.length - 1);
    this.#end = anchored ? chars.length - 1 : chars.length;
    this.#chars = chars;
  }

  /** @throws SyntaxError */
  parse(): Node {
    const node = this.#alternatives(0);
    if (this.#at < this.#end) this.#refuse(`unexpected ${this.#chars[this.#at]}`);
    return node;
  }

  #refuse(why: string): never {
    throw new SyntaxError(`${why} at ${this.#at}`);
  }

  /** The next character, not taken. */
  #peek(): string | undefined {
    return this.#at < this.#end ? this.#chars[this.#at] : undefined;
  }

  #take(): string {
    return this.#at < this.#end ? this.#chars[this.#at++]! : this.#refuse("unexpected end of pattern");
  }

  #alternatives(depth: number): Node {
    if (depth > MAX_DEPTH) this.#refuse("groups nest too deep");
    const branches = [this.#sequence(depth)];
    while (this.#peek() === "|") {
      this.#at++;
      branches.push(this.#sequence(depth));
    }
    return branches.length === 1 ? branches[0]! : { kind: "any", branches };
  }

  #sequence(depth: number): Node {
    const parts: Node[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      parts.push(this.#repeated(depth));
    }
    return { kind: "all", parts };
  }

  #repeated(depth: number): Node {
    const node = this.#atom(depth);
    const [min, max] = this.#quantifier();
    if (min === 1 && max === 1) return node;
    const next = this.#peek();
    if (next !== undefined && QUANTIFIERS.includes(next)) this.#refuse("a quantifier follows a quantifier");
    return { kind: "repeat", node, min, max };
  }

  #quantifier(): readonly [min: number, max: number] {
    const char = this.#peek();
    if (char === undefined || !QUANTIFIERS.includes(char)) return [1, 1];
    this.#at++;
    if (char === "*") return [0, Number.POSITIVE_INFINITY];
    if (char === "+") return [1, Number.POSITIVE_INFINITY];
    if (char === "?") return [0, 1];
    let text = "";
    for (let c = this.#take(); c !== "}"; c = this.#take()) text += c;
    const bounds = /^(\d{1,3})(,(\d{1,3})?)?$/.exec(text) ?? this.#refuse("malformed repetition");
    const min = Number(bounds[1]);
    const max = bounds[3] !== undefined ? Number(bounds[3]) : bounds[2] ? Number.POSITIVE_INFINITY : min;
    return max < min ? this.#refuse("malformed repetition") : [min, max];
  }

  #atom(depth: number): Node {
    const char = this.#take();
    if (char === "(") return this.#group(depth);
    if (char === "[") return { kind: "char", accepts: this.#characterClass() };
    if (char === ".") return { kind: "char", accepts: () => true };
    if (char === "\\") return { kind: "char", accepts: this.#escaped(this.#take()) };
    if ("*+?{}])^$".includes(char)) this.#refuse(`unexpected ${char}`);
    return { kind: "char", accepts: equals(char) };
  }

  /** After its `(`. */
  #group(depth: number): Node {
    if (this.#chars[this.#at] === "?") {
      if (this.#chars[this.#at + 1] !== ":") this.#refuse("only (?: ) groups are understood");
      this.#at += 2;
    }
    const node = this.#alternatives(depth + 1);
    if (this.#at >= this.#end || this.#chars[this.#at++] !== ")") this.#refuse("unclosed group");
    return node;
  }

  /** After its `[`. */
  #characterClass(): Test {
    const negated = this.#chars[this.#at] === "^";
    if (negated) this.#at++;
    const tests: Test[] = [];
    for (let char = this.#take(); char !== "]"; char = this.#take()) tests.push(this.#classMember(char));
    if (tests.length === 0) this.#refuse("empty class");
    return (code) => tests.some((test) => test(code)) !== negated;
  }

  /** One set, character or range of a class, which `char` begins. */
  #classMember(char: string): Test {
    const set = char === "\\" ? SETS[this.#chars[this.#at] ?? ""] : undefined;
    if (set) {
      this.#at++;
      return set;
    }
    const low = this.#classCharacter(char);
    let high = low;
    if (this.#chars[this.#at] === "-" && this.#chars[this.#at + 1] !== "]") {
      this.#at++;
      high = this.#classCharacter(this.#take());
    }
    if (high < low) this.#refuse("malformed range");
    return (code) => code >= low && code <= high;
  }

  /** The code of one character of a class, which `char` begins. */
  #classCharacter(char: string): number {
    if (char === "[") this.#refuse("unexpected [ in a class");
    return (char === "\\" ? this.#punctuation(this.#take()) : char).codePointAt(0)!;
  }

  #punctuation(char: string): string {
    return PUNCTUATION.test(char) ? char : this.#refuse("unknown escape");
  }

  #escaped(char: string): Test {
    return SETS[char] ?? equals(this.#punctuation(char));
  }
}

/** Whether the character at `index` has an odd number of backslashes before it. */
function isEscaped(chars: readonly string[], index: number): boolean {
  let slashes = 0;
  while (chars[index - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}

function equals(char: string): Test {
  const own = char.codePointAt(0)!;
  return (code) => code === own;
}

const QUANTIFIERS = "*+?{";

const PUNCTUATION = /^[!-/:-@[-`{-~]$/;

const within = (pattern: RegExp) => (code: number) => pattern.test(String.fromCodePoint(code));
const digit = within(/[0-9]/);
const word = within(/[A-Za-z0-9_]/);
const space = within(/[ \t\n\v\f\r]/);

const SETS: Readonly<Record<string, Test | undefined>> = {
  __proto__: null as never,
  d: digit,
  w: word,
  s: space,
  D: (code) => !digit(code),
  W: (code) => !word(code),
  S: (code) => !space(code),
};
