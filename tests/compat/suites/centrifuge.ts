import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { TEST_API_KEY } from "../../helpers/instances.ts";
import { TEST_SECRET } from "../../helpers/tokens.ts";
import { pointAt, step } from "./sources.ts";
import type { Suite, SuiteTest } from "./suite.ts";

/** Suites publish as fast as they can from one connection and one address. */
const limits = { connectsPerIpPerSecond: 0, connectionsPerIp: 0, commandsPerSecond: 0 };
const kept = (size: number, age: string) => ({ history: { size, age }, recovery: "stream" });

/** A thousandth of what JUnit's reports are: names of cases, and whether something stands in them. */
function junit(xml: string, nameOf: (name: string, classname: string) => string): SuiteTest[] {
  const cases = xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g);
  const attribute = (attributes: string, name: string) =>
    new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return [...cases].map(([, attributes = "", inside = ""]) => ({
    name: nameOf(attribute(attributes, "name"), attribute(attributes, "classname")),
    outcome: /<(?:failure|error)\b/.test(inside)
      ? "failed"
      : inside.includes("<skipped")
        ? "skipped"
        : "passed",
  }));
}

const javascript: Suite = {
  sdk: "centrifuge-js",
  language: "JavaScript",
  version: "5.7.1",
  from: { repository: "centrifugal/centrifuge-js", tag: "5.7.1" },
  changed: "the newest tests that could be had, of the version before the stock one",
  config: {
    insecure: true,
    limits,
    namespaces: {
      // Centrifugo waits for nobody whose link broke.
      default: { ...kept(100, "300s"), presence: true, presenceGrace: "0s", delta: true },
      delta: { ...kept(100, "300s"), delta: true },
      recovery: kept(100, "300s"),
      smallhistory: kept(2, "300s"),
    },
  },
  async run(folder, instance) {
    await pointAt(instance, folder, "src/*.test.ts");
    await step(folder, [
      "npm",
      "install",
      "--ignore-scripts",
      "--legacy-peer-deps",
      "--no-audit",
      "--no-fund",
    ]);
    await step(folder, ["npx", "jest", "--forceExit", "--json", "--outputFile=report.json"], {
      mayFail: true,
      // Tests that have timed out leave rejections behind, which would end the run.
      env: { NODE_OPTIONS: "--unhandled-rejections=warn" },
    });
    const report = (await Bun.file(join(folder, "report.json")).json()) as {
      testResults: { name: string; assertionResults: { fullName: string; status: string }[] }[];
    };
    return report.testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.map(({ fullName, status }) => ({
        name: `${basename(name, ".test.ts")}: ${fullName}`,
        outcome: status === "passed" || status === "failed" ? status : "skipped",
      })),
    );
  },
};

const go: Suite = {
  sdk: "centrifuge-go",
  language: "Go",
  version: "0.12.1",
  from: { repository: "centrifugal/centrifuge-go", tag: "v0.12.1" },
  config: {
    insecure: true,
    limits,
    namespaces: {
      default: { ...kept(100, "300s"), delta: true },
      smallhistory: kept(2, "300s"),
    },
  },
  async run(folder, instance) {
    await pointAt(instance, folder, "*_test.go");
    const out = await step(folder, ["go", "test", "-json", "-count=1", "-timeout=300s", "."], {
      mayFail: true,
    });
    const events = out
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as { Test?: string; Action: string });
    const outcomes = { pass: "passed", fail: "failed", skip: "skipped" } as const;
    return events.flatMap(({ Test, Action }) =>
      Test && Action in outcomes ? [{ name: Test, outcome: outcomes[Action as keyof typeof outcomes] }] : [],
    );
  },
};

const python: Suite = {
  sdk: "centrifuge-python",
  language: "Python",
  version: "0.7.0",
  from: { pypi: "centrifuge-python==0.7.0" },
  config: {
    auth: { anonymous: true },
    limits,
    namespaces: {
      default: {
        ...kept(100, "300s"),
        ...{
          presence: true,
          delta: true,
          joinLeave: "connection",
          forceJoinLeave: true,
          publish: "subscriber",
        },
      },
      smallhistory: { ...kept(2, "300s"), publish: "subscriber" },
    },
  },
  async run(folder, instance) {
    const secret = { 'hmac_secret = "secret"': `hmac_secret = "${TEST_SECRET}"` };
    await pointAt(instance, folder, "tests/*.py", secret);
    const interpreter = join(folder, "venv/bin/python");
    await step(folder, ["python3", "-m", "venv", "venv"]);
    await step(folder, [interpreter, "-m", "pip", "install", "-q", ".", "pytest", "pytest-timeout"]);
    // A test that waits for what never comes has no end of its own.
    const options = ["--timeout=30", "-o", "python_functions=none", "--junitxml=report.xml"];
    await step(folder, [interpreter, "-m", "pytest", "-q", ...options, "tests"], { mayFail: true });
    const xml = await Bun.file(join(folder, "report.xml")).text();
    return perTest(junit(xml, (name, classname) => `${classname.split(".").at(-1)}.${name}`));
  },
};

/** Python's subtests are reported beside their test: a test fails with any of them. */
function perTest(tests: readonly SuiteTest[]): SuiteTest[] {
  const found = new Map<string, SuiteTest>();
  for (const test of tests) if (found.get(test.name)?.outcome !== "failed") found.set(test.name, test);
  return [...found.values()];
}

const JAVA_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>suite</groupId><artifactId>suite</artifactId><version>1</version>
  <properties>
    <maven.compiler.source>8</maven.compiler.source><maven.compiler.target>8</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>DEPENDENCIES</dependencies>
  <build>
    <sourceDirectory>centrifuge/src/main/java</sourceDirectory>
    <testSourceDirectory>centrifuge/src/test/java</testSourceDirectory>
    <testResources><testResource><directory>centrifuge/src/test/resources</directory></testResource></testResources>
    <plugins>
      <plugin>
        <groupId>org.codehaus.mojo</groupId><artifactId>build-helper-maven-plugin</artifactId><version>3.6.0</version>
        <executions>
          <execution><id>protocol</id><phase>generate-sources</phase><goals><goal>add-source</goal></goals>
            <configuration><sources><source>protocol</source></sources></configuration></execution>
          <execution><id>integration</id><phase>generate-test-sources</phase><goals><goal>add-test-source</goal></goals>
            <configuration><sources><source>centrifuge/src/integrationTest/java</source></sources></configuration>
          </execution>
        </executions>
      </plugin>
      <plugin>
        <groupId>org.apache.maven.plugins</groupId><artifactId>maven-surefire-plugin</artifactId>
        <version>3.5.2</version>
        <configuration><testFailureIgnore>true</testFailureIgnore></configuration>
      </plugin>
    </plugins>
  </build>
</project>
`;

/** As the SDK's own build file has them. */
const JAVA_DEPENDENCIES = [
  "com.squareup.okhttp3:okhttp:4.12.0:compile",
  "com.google.protobuf:protobuf-javalite:3.25.5:compile",
  "net.sourceforge.streamsupport:streamsupport-minifuture:1.7.4:compile",
  "junit:junit:4.13.2:test",
  "com.squareup.okhttp3:mockwebserver:4.12.0:test",
];
const PROTOC = "com.google.protobuf:protoc:3.25.5:exe:linux-x86_64";

const java: Suite = {
  sdk: "centrifuge-java",
  language: "Java",
  version: "0.7.0",
  from: { repository: "centrifugal/centrifuge-java", tag: "0.7.0" },
  changed: "built by Maven; its helper for the server API sends a key",
  config: {
    insecure: true,
    limits,
    namespaces: {
      default: {
        ...kept(10, "60s"),
        // Its clients speak Protobuf alone, and some send what is no JSON.
        ...{ presence: true, delta: true, joinLeave: "connection", forceJoinLeave: true, format: "binary" },
      },
      recovery: { ...kept(100, "300s"), format: "binary" },
      smallhistory: { ...kept(2, "300s"), format: "binary" },
    },
  },
  async run(folder, instance) {
    const call = ".url(baseUrl + path)";
    await pointAt(instance, folder, "centrifuge/src/integrationTest/**/*.java", {
      [call]: `.header("X-API-Key", "${TEST_API_KEY}")${call}`,
    });
    const dependencies = JAVA_DEPENDENCIES.map((one) => {
      const [group, artifact, version, scope] = one.split(":");
      const inside = `<groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>`;
      return `<dependency>${inside}<scope>${scope}</scope></dependency>`;
    });
    await Bun.write(join(folder, "pom.xml"), JAVA_POM.replace("DEPENDENCIES", dependencies.join("")));
    await step(folder, [
      "mvn",
      "-q",
      "-B",
      "dependency:copy",
      `-Dartifact=${PROTOC}`,
      `-DoutputDirectory=${folder}`,
    ]);
    const [protoc] = (await readdir(folder)).filter((name) => name.startsWith("protoc-"));
    await step(folder, ["mkdir", "protocol"]);
    await step(folder, ["chmod", "+x", protoc!]);
    const generate = ["--java_out=lite:protocol", "-Icentrifuge/src/main/proto", "client.proto"];
    await step(folder, [`./${protoc}`, ...generate]);
    const where = [`-Dcentrifuge.endpoint=${instance.websocket}`, `-Dcentrifuge.apiUrl=${instance.url}/api`];
    await step(folder, ["mvn", "-q", "-B", "test", ...where, `-Dcentrifuge.tokenSecret=${TEST_SECRET}`]);
    const reports = [...new Bun.Glob("target/surefire-reports/TEST-*.xml").scanSync(folder)];
    const texts = await Promise.all(reports.map((path) => Bun.file(join(folder, path)).text()));
    return texts.flatMap((xml) => junit(xml, (name, classname) => `${classname.split(".").at(-1)}.${name}`));
  },
};

/** The suites of Centrifuge SDKs. */
export const CENTRIFUGE_SUITES: readonly Suite[] = [javascript, go, python, java];
