import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import type { Server, TlsCertificate } from "../runtime/runtime.ts";
import { UserError } from "./output.ts";

/** What an instance proves to its clients who it is with. */
export interface Certificate extends TlsCertificate {
  /** Unix time, ms, from which clients refuse it. */
  readonly expiresAtMs: number;
}

type TlsSettings = Config["tls"];

/** How often files are looked at, ms: a stat of each. */
const LOOK_MS = 1_000;
const DAY_MS = 24 * 3_600_000;

/**
 * The certificate that the settings name, when they name one. @throws UserError when a file is unreadable, a text is no
 * certificate or key, or the key is another one's
 */
export function readCertificate(tls: TlsSettings): Certificate | undefined {
  const cert = tls.cert ?? (tls.certFile && readText("tls.certFile", tls.certFile));
  const key = tls.key ?? (tls.keyFile && readText("tls.keyFile", tls.keyFile));
  if (cert === undefined || key === undefined) return undefined;
  const parsed = read("certificate", tls.certFile ?? "tls.cert", () => new X509Certificate(cert));
  const own = read("private key", tls.keyFile ?? "tls.key", () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(own)) {
    throw new UserError(
      "the certificate of tls.certFile or tls.cert does not belong to the private key beside it",
    );
  }
  return { cert, key, expiresAtMs: Date.parse(parsed.validTo) };
}

/** Days that are left of a certificate, rounded down; below 0: it has expired. */
export function daysLeft({ expiresAtMs }: Pick<Certificate, "expiresAtMs">, nowMs: number): number {
  return Math.floor((expiresAtMs - nowMs) / DAY_MS);
}

/** Watches the files of a certificate, and hands a changed one to the server. */
export class CertificateWatch {
  /** Unix time, ms, when the one in use expires. */
  expiresAtMs: number;
  readonly #tls: TlsSettings;
  readonly #server: Pick<Server, "renew">;
  readonly #log: Logger;
  #seen: string;
  #inUse: TlsCertificate;
  /** A port that could not be opened again is tried for ever: nothing else brings clients back. */
  #renewing = false;
  #owed = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(tls: TlsSettings, inUse: Certificate, server: Pick<Server, "renew">, log: Logger) {
    this.#tls = tls;
    this.#inUse = inUse;
    this.expiresAtMs = inUse.expiresAtMs;
    this.#server = server;
    this.#log = log;
    this.#seen = this.#look();
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.tick(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks once. Never rejects. */
  async tick(): Promise<void> {
    const now = this.#look();
    if (this.#renewing || (now === this.#seen && !this.#owed)) return;
    this.#seen = now;
    this.#renewing = true;
    try {
      await this.#renew();
    } catch (error) {
      // The message names a file or a port, and holds nothing of a key.
      const { message } = error as Error;
      this.#log.error("the new certificate cannot be used; the previous one stays in use", {
        error: message,
      });
    } finally {
      this.#renewing = false;
    }
  }

  async #renew(): Promise<void> {
    const next = readCertificate(this.#tls);
    if (!next || (!this.#owed && next.cert === this.#inUse.cert && next.key === this.#inUse.key)) return;
    this.#owed = true;
    await this.#server.renew(next);
    this.#owed = false;
    this.#inUse = next;
    this.expiresAtMs = next.expiresAtMs;
    this.#log.info("the new certificate is in use", {
      validUntil: new Date(next.expiresAtMs).toISOString(),
    });
  }

  /** What the files are, as far as can be seen without reading them; links are followed, as Kubernetes needs it. */
  #look(): string {
    const { certFile, keyFile } = this.#tls;
    return [certFile, keyFile].map((path) => (path === undefined ? "" : stamp(path))).join(" ");
  }
}

/** What a file is, as far as can be seen without reading it; links are followed. */
export function stamp(path: string): string {
  try {
    const { ino, mtimeMs, size } = statSync(path);
    return `${ino}.${mtimeMs}.${size}`;
  } catch {
    return "none";
  }
}

/** @throws UserError */
export function readText(setting: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    throw new UserError(`cannot read ${path} (${code}); check ${setting}`);
  }
}

function read<T>(what: string, where: string, parse: () => T): T {
  try {
    return parse();
  } catch {
    // The library's own message may quote the text.
    throw new UserError(`${where} holds no ${what} in PEM form`);
  }
}
