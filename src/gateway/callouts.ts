import type { Identity, SubscriptionGrant } from "../auth/auth.ts";

/**
 * Asking a service who somebody is or what they may do, over NATS. Each throws CommandError or ConnectionError with
 * what the service decided, and a temporary CommandError when it did not answer.
 */
export interface Callouts {
  connect(request: ConnectCallout): Promise<Identity & { readonly data?: string }>;
  subscribe(request: SubscribeCallout): Promise<SubscriptionGrant & { readonly data?: string }>;
  /** May replace the data. */
  publish(request: PublishCallout): Promise<{ readonly data?: string }>;
}

export interface ConnectCallout {
  readonly client: string;
  readonly protocol: string;
  readonly ip: string;
  readonly origin?: string;
  readonly token?: string;
  /** JSON text. */
  readonly data?: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SubscribeCallout {
  readonly client: string;
  readonly user: string;
  readonly channel: string;
  readonly token?: string;
  readonly data?: string;
  readonly meta?: string;
}

export interface PublishCallout {
  readonly client: string;
  readonly user: string;
  readonly channel: string;
  readonly data: string;
  readonly meta?: string;
}
