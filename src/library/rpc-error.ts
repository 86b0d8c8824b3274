/** An error that a function answers an RPC with; the client sees it. */
export class RpcError extends Error {
  /** 400 to 1999. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
