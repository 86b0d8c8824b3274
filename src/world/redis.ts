import type { Children } from "../process/children.ts";
import { accepts, LOOPBACK } from "../process/ports.ts";
import { program } from "../process/programs.ts";
import { type ManagedServer, startServer } from "./server.ts";

/** Starts the one Redis of the world; it keeps nothing on disk. */
export async function startRedis(
  children: Children,
  options: { readonly port: number; readonly dir: string; onChange(alive: boolean): void },
): Promise<ManagedServer> {
  const { port, dir, onChange } = options;
  const own = ["--port", `${port}`, "--bind", LOOPBACK, "--dir", dir, "--save", "", "--appendonly", "no"];
  return await startServer({
    name: "redis-server",
    children,
    program: () => ({ command: program("redis-server"), args: own }),
    probe: () => accepts({ hostname: LOOPBACK, port }),
    onChange,
  });
}
