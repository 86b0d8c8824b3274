/**
 * The outbox port: durable lines of items to be delivered outside of the cluster (webhooks), one line for each
 * destination, delivered by one instance at a time.
 *
 * Its law, which every driver keeps and the contract suite tests:
 *
 * 1. **Order.** A line is read in the order in which one instance put its items. Items that two instances put at the
 *    same time come in either order, the same for every reader.
 * 2. **At least once.** An item stays until {@link Outbox.done}: who took over after a crash reads again what was not
 *    done. It goes unread only when it is older than the outbox keeps, or when a line is longer than it may be: then
 *    the oldest go first.
 * 3. **One at a time.** At most one instance {@link Outbox.leading} at any moment, as far as clocks that run at the
 *    same speed can tell; after a crash another one leads within the lease and one renewal.
 * 4. `put` never waits and never throws: what overflows the bounded queue before the store is counted and logged.
 * 5. **Once per id.** Two items that are put into one line under one id within two minutes are stored once, whichever
 *    instances put them.
 */
export interface Outbox {
  /** Appends to a line. @param text one item, JSON by custom @param id made up when absent */
  put(line: string, text: string, id?: string): void;

  /** As {@link put}; resolves when the item is stored. @throws CommandError brokerUnavailable */
  append(line: string, text: string, id?: string): Promise<void>;

  /** Whether this instance is the one that delivers now. */
  readonly leading: boolean;

  /** The oldest items of a line, at most `limit`. @throws CommandError brokerUnavailable */
  read(line: string, limit: number): Promise<readonly OutboxItem[]>;

  /** Forgets the items of a line up to this one. @throws CommandError brokerUnavailable */
  done(line: string, seq: number): Promise<void>;

  /** Forgets one item of a line, if it is there. @throws CommandError brokerUnavailable */
  remove(line: string, seq: number): Promise<void>;

  /** How many items each line has, for lines with any. @throws CommandError brokerUnavailable */
  counts(): Promise<ReadonlyMap<string, number>>;

  /**
   * Called when something was put into a line, by any instance, and (without a line) when this instance begins to
   * lead. Only a hint: the leading instance also looks now and then. Returns its own removal.
   */
  onWake(listener: (line: string | undefined) => void): () => void;

  /** Idempotent. Stores what was put, and lets another instance lead at once. */
  close(): Promise<void>;
}

export interface OutboxItem {
  /** Rises along a line; not contiguous. */
  readonly seq: number;
  readonly text: string;
}

export interface OutboxOptions {
  /** Items older than this are forgotten, ms. */
  readonly maxAgeMs: number;
  /** Most items of one line. */
  readonly maxItems: number;
  /** An instance that has not renewed its claim for so long does not lead any more, ms. */
  readonly leaseTtlMs: number;
  readonly leaseRenewMs: number;
}
