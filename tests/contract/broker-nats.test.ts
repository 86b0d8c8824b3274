import { natsFixture } from "../helpers/nats-fixture.ts";
import { brokerContract } from "./broker.ts";

brokerContract("nats", natsFixture);
