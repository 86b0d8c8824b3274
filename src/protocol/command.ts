/**
 * What every family's commands have. What else a command says is the family's own: its codec reads it, its dialect
 * carries it out.
 */
export interface Command {
  readonly method: string;
  /** Number of the command, to be repeated in its answer; 0: it has none. */
  readonly id: number;
}

/** A frame that is no command. The connection is closed. */
export interface DecodeFailure {
  readonly method: "malformed";
  /** For the log. */
  readonly detail: string;
}

export function isMalformed(command: Command | DecodeFailure): command is DecodeFailure {
  return command.method === "malformed";
}
