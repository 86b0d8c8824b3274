import { doorTests } from "../helpers/doors/doors.ts";

doorTests("memory");
