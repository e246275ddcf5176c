#!/usr/bin/python3
"""tests/model/run.py notices when the code no longer does what the model says, step by step: changed copies of the text."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/model"))

import run  # noqa: E402

WORKER, REQUESTS, MANAGER, GENERATIONS, QSBR = (
    "dataplane/pipeline/worker.cpp",
    "dataplane/manager/requests.cpp",
    "dataplane/manager/manager.cpp",
    "dataplane/manager/generations.cpp",
    "dataplane/pipeline/qsbr.hpp",
)


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class CodeAsModelled(unittest.TestCase):
    def complaint(self, path, head, change):
        """`change` takes the lines of the function that begins with `head`."""
        text = text_of(path)
        start = text.index(head)
        end = text.index("\n}\n", start)
        body = text[start:end].split("\n")
        changed = list(body)
        change(changed)
        self.assertNotEqual(body, changed)
        return run.is_as_modelled({path: text[:start] + "\n".join(changed) + text[end:]}) or ""

    @staticmethod
    def at(lines, step):
        return next(number for number, line in enumerate(lines) if step in line)

    def move(self, lines, step, before):
        line = lines.pop(self.at(lines, step))
        lines.insert(self.at(lines, before), line)

    def test_the_tree_is_as_modelled(self):
        self.assertIsNone(run.is_as_modelled())

    def test_a_worker_that_lets_go_early_or_not_at_all(self):
        head, quiesce = "std::size_t Worker::run_once", "w.tables.quiesce("
        for change, words in (
            (lambda body: self.move(body, quiesce, "w.flows.age("), "no longer has `w.tables.quiesce"),
            (lambda body: body.pop(self.at(body, quiesce)), "0 times, not once"),
            (lambda body: body.insert(1, body[self.at(body, quiesce)]), "2 times, not once"),
            (lambda body: body.insert(self.at(body, quiesce) + 1, "    use(active->view);"), "names `active` behind"),
        ):
            self.assertIn(words, self.complaint(WORKER, head, change))

    def test_an_answer_before_the_record_and_a_switch_before_the_store(self):
        for head, step, before in (
            ("bool Manager::on_offer", "switched(client,", "record();"),
            ("bool Manager::on_offer", "generations_.switch_to(", "store_.keep("),
            ("void Manager::on_confirm", "socket_->send(client, answer(", "record();"),
            ("void Manager::on_revert", "switched(client,", "record();"),
        ):
            complaint = self.complaint(REQUESTS, head, lambda body: self.move(body, step, before))  # noqa: B023
            self.assertIn("in its place", complaint, f"{head}: {step}")
        told = self.complaint(MANAGER, "void Manager::revert_at_deadline", lambda b: self.move(b, "notice(", "record();"))
        self.assertIn("in its place", told)

    def test_a_pointer_before_its_node_is_whole(self):
        complaint = self.complaint(
            GENERATIONS, "void Generations::publish", lambda b: self.move(b, "tables_.publish(", "policy_seq =")
        )
        self.assertIn("in its place", complaint)

    def test_a_weaker_atomic(self):
        weaker = text_of(QSBR).replace("seen.store(1, std::memory_order_seq_cst)", "seen.store(1, std::memory_order_release)")
        self.assertIn("no longer has", run.is_as_modelled({QSBR: weaker}))


if __name__ == "__main__":
    unittest.main()
