# SPDX-License-Identifier: MIT
"""The job of task.hpp with Python's DistributedDataParallel on Gloo:
ddp_python.py DATA STORE MODEL, where RANK and WORLD_SIZE are set."""

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.distributed
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

BATCH = 50


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution1 = nn.Conv2d(1, 8, 5)
        self.convolution2 = nn.Conv2d(8, 16, 5)
        self.linear1 = nn.Linear(256, 64)
        self.linear2 = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(functional.max_pool2d(self.convolution1(x), 2))
        x = torch.relu(functional.max_pool2d(self.convolution2(x), 2)).flatten(1)
        return functional.log_softmax(self.linear2(torch.relu(self.linear1(x))), 1)


def read(folder):
    """Images as LibTorch's data set has them, normalized (60000, 1, 28, 28), and labels."""
    pixels = numpy.fromfile(folder / "train-images-idx3-ubyte", numpy.uint8, offset=16)
    labels = numpy.fromfile(folder / "train-labels-idx1-ubyte", numpy.uint8, offset=8)
    images = torch.from_numpy(pixels).view(-1, 1, 28, 28).to(torch.float32).div_(255)
    return images.sub_(0.1307).div_(0.3081), torch.from_numpy(labels).to(torch.int64)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(data, store, model_file):
    rank, nodes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net = Net()
    images, labels = read(Path(data))
    order = torch.randperm(images.size(0))
    rounds = images.size(0) // (BATCH * nodes)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.5)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank,
                                         world_size=nodes)
    model = DistributedDataParallel(net)
    step = 0
    for line in sys.stdin:
        begin, cpu_begin = time.perf_counter(), cpu_seconds()
        for step in range(step, step + int(line)):
            first = (step % rounds * nodes + rank) * BATCH
            which = order[first:first + BATCH]
            optimizer.zero_grad()
            loss = functional.nll_loss(model(images.index_select(0, which)),
                                       labels.index_select(0, which))
            loss.backward()
            optimizer.step()
            loss.item()
        step += 1
        print(json.dumps({"seconds": time.perf_counter() - begin,
                          "cpu_seconds": cpu_seconds() - cpu_begin}), flush=True)
    Path(model_file).write_bytes(b"".join(one.detach().contiguous().numpy().tobytes()
                                          for one in net.parameters()))


main(*sys.argv[1:])
