import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Certificates of a CA of the test's own. Paths of PEM files; removed when disposed. */
export interface Certificates extends AsyncDisposable {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes a CA, and a certificate for servers on 127.0.0.1 and one for clients. */
export async function certificates(): Promise<Certificates> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-tls-"));
  const openssl = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], {
      cwd: dir,
      stdout: "ignore",
      stderr: "pipe",
    });
    if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr.toString()}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=test ca",
  );
  for (const name of ["server", "client"]) {
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    await Bun.write(join(dir, `${name}.ext`), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-out", `${name}.pem`, "-days", "2", "-extfile", `${name}.ext`],
    );
  }
  const pair = (name: string) => ({ cert: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) });
  return {
    ca: join(dir, "ca.pem"),
    server: pair("server"),
    client: pair("client"),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** Puts other certificates into the files of these. */
export async function replaceCertificates(old: Certificates, next: Certificates): Promise<void> {
  const files = ({ ca, server, client }: Certificates) => [
    ca,
    server.cert,
    server.key,
    client.cert,
    client.key,
  ];
  const from = files(next);
  await Promise.all(files(old).map((path, at) => copyFile(from[at]!, path)));
}
