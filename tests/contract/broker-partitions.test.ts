import { natsFixture } from "../helpers/nats-fixture.ts";
import { brokerContract } from "./broker.ts";

brokerContract("nats, every namespace divided into three streams", natsFixture, 3);
