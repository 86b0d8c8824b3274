import type { Config } from "../../config.ts";
import { type Certificate, daysLeft, readCertificate } from "../certificate.ts";
import { UserError } from "../output.ts";
import type { Finding } from "./report.ts";

/** Days before its end from which a certificate should have been renewed: Let's Encrypt's clients do so 30 days before. */
const DAYS_BEFORE = 14;

/** Checks the certificate for clients, when the instance itself speaks TLS. */
export function checkCertificate({ tls }: Pick<Config, "tls">, nowMs: number): Finding[] {
  const check = "certificate";
  let certificate: Certificate | undefined;
  try {
    certificate = readCertificate(tls);
  } catch (error) {
    if (error instanceof UserError) return [{ check, verdict: "failed", what: error.message }];
    throw error;
  }
  if (!certificate) return [];
  const days = daysLeft(certificate, nowMs);
  const until = new Date(certificate.expiresAtMs).toISOString().slice(0, 10);
  if (days < 0) {
    const cause = "no client connects to an instance with it";
    return [{ check, verdict: "failed", what: `expired on ${until}`, cause, fix: fix(tls) }];
  }
  const what = `valid until ${until}`;
  if (days >= DAYS_BEFORE) return [{ check, verdict: "ok", what }];
  return [{ check, verdict: "warning", what, cause: `${days} days are left`, fix: fix(tls) }];
}

function fix({ certFile }: Config["tls"]): string {
  return certFile
    ? `renew ${certFile}; running instances take it by themselves`
    : "set tls.cert and tls.key anew";
}
