/*
 * The client library of NATS. This file alone imports it: whoever replaces the library by another begins here, and the compiler
 * shows what the other one lacks. What is said of its insides beside this stands in broker/nats/link/subscription.ts.
 */

export type {
  ConnectionOptions,
  JetStreamAccountStats,
  Msg,
  MsgHdrs,
  NatsConnection,
  NatsError,
  Placement,
  StoredMsg,
  StreamAPI,
  StreamConfig,
  StreamInfo,
} from "nats";
export {
  connect,
  createInbox,
  credsAuthenticator,
  headers,
  nkeyAuthenticator,
  nkeys,
  nuid,
  RequestStrategy,
} from "nats";
