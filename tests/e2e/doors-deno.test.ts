import { doorTests } from "../helpers/doors/doors.ts";

doorTests("Deno, Redis over REST");
